import { once } from 'node:events'
import { mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { createServer as createHttpServer, type RequestListener } from 'node:http'
import { createServer, type Server, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach } from 'vitest'
import { dialUnixSocket, listenUnixSocket } from '../src/unix-socket.js'

const cleanups: (() => unknown)[] = []

afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup()
})

/** Undone after the test, the latest first. */
export function afterwards(cleanup: () => unknown): void {
  cleanups.push(cleanup)
}

export function tempDirectory(): string {
  const directory = mkdtempSync(join(tmpdir(), 'tenantbox-'))
  afterwards(() => rmSync(directory, { recursive: true, force: true }))
  return directory
}

/** Whose sockets' paths exceed the 107 bytes of a socket address. */
export function longDirectory(): string {
  const directory = join(tempDirectory(), 'd'.repeat(100), 'e'.repeat(100))
  mkdirSync(directory, { recursive: true })
  return directory
}

export function openDescriptors(): number {
  return readdirSync('/proc/self/fd').length
}

export interface Listening {
  readonly directory: string
  readonly name: string
  readonly server: Server
  /** Connections accepted so far. */
  readonly accepted: () => number
  readonly dial: (signal?: AbortSignal) => Promise<Socket>
}

/** A server on a unix socket that says and does what it likes: `onConnection` writes its own bytes. */
export function listenRaw(
  onConnection: (socket: Socket) => void,
  directory = tempDirectory(),
  name = 'agent.sock',
): Promise<Listening> {
  return listen(createServer({ allowHalfOpen: true }, onConnection), directory, name)
}

export function listenHttp(
  onRequest: RequestListener,
  directory = tempDirectory(),
  name = 'agent.sock',
): Promise<Listening> {
  return listen(createHttpServer({ keepAliveTimeout: 0 }, onRequest), directory, name)
}

async function listen(server: Server, directory: string, name: string): Promise<Listening> {
  const sockets = new Set<Socket>()
  let accepted = 0
  server.on('connection', (socket: Socket) => {
    accepted++
    sockets.add(socket)
    // A client that goes resets the connection: that is its good right here.
    socket.on('error', () => undefined).on('close', () => sockets.delete(socket))
  })
  await listenUnixSocket(server, directory, name)
  afterwards(async () => {
    for (const socket of sockets) socket.destroy()
    if (!server.listening) return
    server.close()
    await once(server, 'close')
  })
  return {
    directory,
    name,
    server,
    accepted: () => accepted,
    dial: (signal) => dialUnixSocket(directory, name, { signal }),
  }
}
