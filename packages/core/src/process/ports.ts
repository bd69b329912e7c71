import { once } from 'node:events'
import { connect, createServer, type Socket } from 'node:net'

const LOOPBACK = '127.0.0.1'

/** A port that nobody listens on just now. */
export async function freePort(): Promise<number> {
  const server = createServer().listen(0, LOOPBACK)
  await once(server, 'listening')
  const address = server.address()
  server.close()
  await once(server, 'close')
  if (address === null || typeof address === 'string') throw new Error('a TCP server without a port')
  return address.port
}

/** @throws the system's error, such as `ECONNREFUSED`, or the signal's reason */
export function dialPort(port: number, signal: AbortSignal | undefined): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host: LOOPBACK, port, ...(signal ? { signal } : {}) })
    const failed = (error: Error): void => reject(signal?.aborted ? signal.reason : error)
    socket.once('error', failed)
    socket.once('connect', () => {
      socket.off('error', failed)
      resolve(socket)
    })
  })
}
