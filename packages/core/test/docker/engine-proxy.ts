import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { connect, createServer, type Server, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { onTestFinished } from 'vitest'
import { engine } from './world.js'

/** A socket before the engine's own, so that a test can break what runs through it, and see every request. */
export interface EngineProxy {
  readonly socketPath: string
  /** The request lines seen so far, such as `GET /info`. */
  readonly requests: string[]
  /** Breaks every connection there is. */
  cut(): void
  /** Whether to accept requests and never answer. */
  hang(on: boolean): void
}

export async function proxyEngine(): Promise<EngineProxy> {
  const target = await (engine.modem as unknown as { getSocketPath(): Promise<string> }).getSocketPath()
  const open = new Set<Socket>()
  const requests: string[] = []
  let hanging = false
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    const upstream = connect({ path: target, allowHalfOpen: true })
    for (const side of [socket, upstream]) {
      open.add(side)
      side.on('error', () => side.destroy())
      side.on('close', () => open.delete(side))
    }
    socket.on('close', () => upstream.destroy())
    socket.on('data', (chunk) => {
      for (const [, line] of String(chunk).matchAll(/^((?:GET|POST|HEAD|DELETE) \S+) HTTP/gm))
        requests.push(line ?? '')
      if (!hanging) upstream.write(chunk)
    })
    socket.on('end', () => upstream.end())
    upstream.pipe(socket)
  })
  const socketPath = await listenOnSocket(server)
  return {
    socketPath,
    requests,
    cut: () => open.forEach((socket) => void socket.destroy()),
    hang: (on) => {
      hanging = on
    },
  }
}

/** Lets a server listen on a unix socket of its own until the test ends. */
export async function listenOnSocket(server: Server): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'tenantbox-engine-'))
  const socketPath = join(folder, 'docker.sock')
  server.listen(socketPath)
  await once(server, 'listening')
  onTestFinished(async () => {
    server.close()
    await rm(folder, { recursive: true, force: true })
  })
  return socketPath
}
