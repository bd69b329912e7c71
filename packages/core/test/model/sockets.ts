/** Stands in for `unix-socket.ts`: who listens is noted, and nobody connects. */
import type { Server } from 'node:http'
import { ownerOf } from './host.js'

export async function listenUnixSocket(server: Server, directory: string): Promise<void> {
  const { sockets } = ownerOf(directory)
  sockets.add(server)
  server.once('close', () => sockets.delete(server))
}
