import { join } from 'node:path'
import type { ResolvedBoxSpec } from '../driver.js'
import type { TenantFolders } from '../tenant-dirs.js'
import { hostPath, MARK } from './sweep.js'

export const AGENT_SOCKET = 'agent.sock'

/** The environment of a box: what a container's agent finds in its own, with this machine's paths. */
export function environmentOf(
  spec: ResolvedBoxSpec,
  about: { folders: TenantFolders; shortRoot: string; port: number | undefined; mark: string },
): Readonly<Record<string, string>> {
  const { folders, shortRoot, port, mark } = about
  return {
    ...hostPath(),
    HOME: folders.workspace,
    ...spec.env,
    ...(port === undefined
      ? { TENANTBOX_SOCKET: join(shortRoot, 'run', AGENT_SOCKET) }
      : { TENANTBOX_PORT: String(port) }),
    TENANTBOX_GATEWAY: join(shortRoot, 'gateway', 'gateway.sock'),
    TENANTBOX_SECRETS: folders.secrets,
    [MARK]: mark,
  }
}
