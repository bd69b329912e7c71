import { once } from 'node:events'
import { chmodSync, closeSync, constants, fstatSync, lstatSync, openSync, unlinkSync } from 'node:fs'
import { connect, type Server, type Socket } from 'node:net'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { errnoOf } from './errno.js'

/**
 * `O_PATH` of Linux, which Node does not name: holds on to a file without opening it. It never blocks (a FIFO would)
 * and, with `O_NOFOLLOW`, a symlink is held itself instead of what it points to.
 */
const O_PATH = 0o10000000
const LINUX = process.platform === 'linux'
const LONGEST_WAIT_MS = 50

/**
 * Connects to the unix socket `name` in `directory`, whose contents may belong to somebody hostile: on Linux the file
 * is held first, checked to be a socket, and then connected to by that handle. So no symlink is followed, nothing can
 * be exchanged between the check and the connection, and the path may exceed the 107 bytes of a socket address.
 * Elsewhere the file is checked and then connected to by its path: that leaves the moment in between, and short paths.
 *
 * A full accept queue is waited out until `signal` says otherwise, as a blocking `connect` would.
 *
 * The system calls are synchronous on purpose: each takes microseconds on a local disk and none can block, where four
 * turns through the thread pool would be most of a request's time.
 *
 * @throws the system's error, with its `code`: `ENOENT`, `ECONNREFUSED`, `ENOTSOCK` for what is no socket
 * @throws the signal's reason
 */
export async function dialUnixSocket(
  directory: string,
  name: string,
  { signal }: { signal?: AbortSignal | undefined } = {},
): Promise<Socket> {
  for (let wait = 1; ; wait = Math.min(wait * 2, LONGEST_WAIT_MS)) {
    signal?.throwIfAborted()
    try {
      return await (LINUX ? dialHeld(directory, name, signal) : dialByPath(join(directory, name), signal))
    } catch (error) {
      if (errnoOf(error) !== 'EAGAIN') throw error
    }
    await delay(wait, undefined, { signal }).catch(() => signal?.throwIfAborted())
  }
}

async function dialHeld(directory: string, name: string, signal: AbortSignal | undefined): Promise<Socket> {
  const handle = hold(directory, name)
  try {
    return await connected(connect(`/proc/self/fd/${handle}`), signal)
  } finally {
    closeSync(handle)
  }
}

async function dialByPath(path: string, signal: AbortSignal | undefined): Promise<Socket> {
  if (!lstatSync(path).isSocket()) throw notASocket(path)
  return connected(connect(path), signal)
}

/** A handle on the socket `name`, found from a handle on its directory. The caller closes it. */
function hold(directory: string, name: string): number {
  const parent = holdDirectory(directory)
  let handle: number | undefined
  try {
    handle = openSync(`/proc/self/fd/${parent}/${name}`, O_PATH | constants.O_NOFOLLOW)
    if (!fstatSync(handle).isSocket()) throw notASocket(join(directory, name))
    return handle
  } catch (error) {
    if (handle !== undefined) closeSync(handle)
    throw error
  } finally {
    closeSync(parent)
  }
}

function holdDirectory(directory: string): number {
  return openSync(directory, O_PATH | constants.O_DIRECTORY | constants.O_NOFOLLOW)
}

async function connected(socket: Socket, signal: AbortSignal | undefined): Promise<Socket> {
  try {
    await once(socket, 'connect', { signal })
    return socket
  } catch (error) {
    socket.destroy()
    signal?.throwIfAborted()
    throw error
  }
}

/**
 * Makes `server` listen on the unix socket `name` in `directory`, which belongs to this process alone. A socket left
 * behind by an earlier process is replaced; everybody who can reach the directory may connect (mode 0666). The file
 * goes when the server closes.
 *
 * @throws the system's error, with its `code`: `EADDRINUSE` when something that is no socket is in the way
 */
export async function listenUnixSocket(server: Server, directory: string, name: string): Promise<void> {
  if (!LINUX) return bind(server, join(directory, name))
  const parent = holdDirectory(directory)
  try {
    await bind(server, `/proc/self/fd/${parent}/${name}`)
  } catch (error) {
    closeSync(parent)
    throw error
  }
  // Closing a server removes the path it was bound to, so the number in that path must stay ours until then.
  server.once('close', () => closeSync(parent))
}

async function bind(server: Server, path: string): Promise<void> {
  if (lstatSync(path, { throwIfNoEntry: false })?.isSocket()) unlinkSync(path)
  server.listen(path)
  await once(server, 'listening')
  try {
    chmodSync(path, 0o666)
  } catch (error) {
    server.close()
    throw error
  }
}

function notASocket(path: string): Error {
  return Object.assign(new Error(`${path} is not a socket`), { code: 'ENOTSOCK' })
}
