import { once } from 'node:events'
import { createServer } from 'node:net'
import { join } from 'node:path'
import type { ResolvedBoxSpec } from '../driver.js'
import { TenantBoxError } from '../errors.js'
import type { TenantFolders } from '../tenant-dirs.js'
import { hostPath, MARK } from './sweep.js'

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

export const AGENT_SOCKET = 'agent.sock'

/** A port of 127.0.0.1 that nobody listens on just now. */
export async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  server.close()
  await once(server, 'close')
  if (address === null || typeof address === 'string') throw new Error('no port was given')
  return address.port
}

/** @throws TenantBoxError `INVALID_OPTION` for what a process on the host cannot be given, and would miss */
export function assertPossible(
  spec: ResolvedBoxSpec,
): asserts spec is ResolvedBoxSpec & { command: readonly string[] } {
  const own = process.getuid?.()
  if (!spec.command)
    throw impossible('box.command', 'the command of the agent', 'nothing: there is no image to take it from')
  if (spec.mounts.length > 0)
    throw impossible('box.mounts', 'empty', 'mounts: a process sees the paths of this machine as they are')
  if (spec.user && spec.user.uid !== own)
    throw impossible('box.user', `'gateway' or this process's own`, `the uid ${spec.user.uid}`)
  if (spec.healthcheck)
    throw impossible('box.ready', `another probe`, `'healthcheck': there is no image that has one`)
}

function impossible(option: string, expected: string, got: string): TenantBoxError<'INVALID_OPTION'> {
  return new TenantBoxError(
    'INVALID_OPTION',
    `With the process driver, option ${option} must be ${expected}, got ${got}.`,
    { option, expected, got },
  )
}
