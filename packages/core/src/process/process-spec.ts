import type { ResolvedBoxSpec } from '../driver.js'
import { TenantBoxError } from '../errors.js'

/** A spec that a process of the host can be made from. */
export interface ProcessSpec extends ResolvedBoxSpec {
  readonly command: readonly string[]
}

/** @throws TenantBoxError `INVALID_OPTION` for what a process of the host cannot be given, and would miss */
export function toProcessSpec(spec: ResolvedBoxSpec): ProcessSpec {
  const { command, mounts, user, healthcheck } = spec
  if (!command)
    throw impossible('box.command', 'the command of the agent', 'nothing: there is no image to take it from')
  if (mounts.length > 0)
    throw impossible('box.mounts', 'empty', 'mounts: a process sees the paths of this machine as they are')
  if (user && user.uid !== process.getuid?.())
    throw impossible('box.user', "'gateway' or this process's own", `the uid ${user.uid}`)
  if (healthcheck)
    throw impossible('box.ready', 'another probe', "'healthcheck': there is no image that has one")
  return { ...spec, command }
}

function impossible(option: string, expected: string, got: string): TenantBoxError<'INVALID_OPTION'> {
  return new TenantBoxError(
    'INVALID_OPTION',
    `With the process driver, option ${option} must be ${expected}, got ${got}.`,
    { option, expected, got },
  )
}
