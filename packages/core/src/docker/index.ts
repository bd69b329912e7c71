import type { Driver } from '../driver.js'
import { DockerDriver } from './docker-driver.js'
import { type DockerOptions, resolveDockerOptions } from './options.js'

export type { DockerOptions, RegistryAuth } from './options.js'

/**
 * Boxes as containers of a Docker engine (20.10 or newer), hardened unless told otherwise.
 *
 * @throws TenantBoxError `INVALID_OPTION`
 * @example new TenantPool({ name: 'companion', driver: docker(), dataDir: './data', box: { image: 'companion-agent:1' } })
 */
export function docker(options: DockerOptions = {}): Driver {
  return new DockerDriver(resolveDockerOptions(options))
}
