import type { ServerResponse } from 'node:http'

/**
 * Server-sent events: whenever a chat changes, its whole view goes to every page. A page that reads slowly gets fewer of them,
 * never a queue of old ones.
 */
export class Stream {
  readonly #chats: readonly number[]
  readonly #view: (chat: number) => object | undefined
  /** What each page has yet to be told. */
  readonly #pages = new Map<ServerResponse, Set<number>>()
  #scheduled: NodeJS.Immediate | undefined

  constructor(chats: readonly number[], view: (chat: number) => object | undefined) {
    this.#chats = chats
    this.#view = view
  }

  add(response: ServerResponse): void {
    response.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-store' })
    this.#pages.set(response, new Set(this.#chats))
    response.on('close', () => this.#pages.delete(response))
    response.on('drain', () => this.#schedule())
    this.#schedule()
  }

  changed(chat: number): void {
    if (!this.#chats.includes(chat)) return
    for (const untold of this.#pages.values()) untold.add(chat)
    this.#schedule()
  }

  close(): void {
    clearImmediate(this.#scheduled)
    for (const response of this.#pages.keys()) response.end()
  }

  /** Changes of one turn of the event loop are told together. */
  #schedule(): void {
    this.#scheduled ??= setImmediate(() => {
      this.#scheduled = undefined
      for (const [response, untold] of this.#pages) this.#tell(response, untold)
    })
  }

  #tell(response: ServerResponse, untold: Set<number>): void {
    for (const chat of untold) {
      if (response.writableNeedDrain) return
      untold.delete(chat)
      response.write(`data: ${JSON.stringify(this.#view(chat))}\n\n`)
    }
  }
}
