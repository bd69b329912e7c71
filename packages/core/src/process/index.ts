import type { Driver } from '../driver.js'
import { checkProcessOptions, type ProcessOptions } from './options.js'
import { ProcessDriver } from './process-driver.js'

export type { ProcessOptions } from './options.js'

/**
 * Boxes as processes of this machine, for development where there is no engine. **It isolates nothing**, and says so
 * once, on stderr: agents run as this process's user, with its files, its network and no limits.
 *
 * - `box.command` is required, and is started in the workspace: name files in full, such as `resolve('agent.mjs')`. `box.image` only names what it runs: change it, and boxes are made anew.
 * - Folders, environment and secrets are those of a container, with this machine's paths: `HOME` and the working
 *   directory are the workspace, `TENANTBOX_SECRETS` is where the secrets are. Of the host's environment there is only
 *   `PATH`. Where a tenant's folder is too deep for a unix socket's address (107 bytes), `TENANTBOX_SOCKET` and
 *   `TENANTBOX_GATEWAY` go by way of a short symlink.
 * - With `box.transport: { port }` every box gets a port of its own, in `TENANTBOX_PORT`.
 * - Boxes end with this process, however that ends.
 *
 * @throws TenantBoxError `INVALID_OPTION`, also where `NODE_ENV` is `production` and `allowUnisolated` is not set
 * @example { driver: processDriver(), box: { image: 'none', command: ['node', resolve('agent.mjs')] } }
 */
export function processDriver(options: ProcessOptions = {}): Driver {
  checkProcessOptions(options, process.env.NODE_ENV)
  return new ProcessDriver()
}
