import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { isForPage, isFromPage } from './guard.js'

export interface LocalHttp {
  readonly url: string
  close(): Promise<void>
}

/** Answers one request. `fromPage`: whether the page made it, not some other site. */
export type Serve = (request: IncomingMessage, response: ServerResponse, fromPage: boolean) => Promise<void>

/** Serves 127.0.0.1 under its own names only. */
export async function listenLocally(port: number, serve: Serve): Promise<LocalHttp> {
  const http = createServer((request, response) => {
    const { port: bound } = http.address() as AddressInfo
    if (!isForPage(request, bound)) return refuse(response, 403, 'Only this machine is served.')
    // What fails is the connection: whoever asked has hung up in the middle.
    serve(request, response, isFromPage(request, bound)).catch(() => response.destroy())
  })
  await new Promise<void>((resolve, reject) => {
    http.once('error', reject)
    http.listen(port, '127.0.0.1', resolve)
  })
  const { port: bound } = http.address() as AddressInfo
  return {
    url: `http://127.0.0.1:${bound}/`,
    close: () =>
      new Promise((resolve) => {
        http.close(() => resolve())
        http.closeAllConnections()
      }),
  }
}

export function refuse(response: ServerResponse, code: number, why: string): void {
  response.writeHead(code, { 'content-type': 'text/plain; charset=utf-8' }).end(why)
}
