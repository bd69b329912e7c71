import { once } from 'node:events'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'

/** A Telegram that keeps nothing, so that what grows is not its own: updates as they are asked for, and a yes to all else. */
export class StubTelegram {
  readonly #server: Server
  readonly #updates: object[] = []
  #poll: ServerResponse | undefined
  #nextId = 1
  /** Called when updates leave for the bot. */
  onDelivered: () => void = () => undefined
  /** Called with the chat of each message that the bot sends. */
  onMessage: (chat: number) => void = () => undefined

  private constructor() {
    this.#server = createServer((request, response) => void this.#answer(request, response))
  }

  static async start(): Promise<StubTelegram> {
    const telegram = new StubTelegram()
    telegram.#server.listen(0, '127.0.0.1')
    await once(telegram.#server, 'listening')
    return telegram
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`
  }

  say(chat: number, text: string): void {
    const id = this.#nextId++
    const from = { id: chat, is_bot: false, first_name: 'Anna' }
    const message = {
      message_id: id,
      date: 1,
      chat: { id: chat, type: 'private', first_name: 'Anna' },
      from,
      text,
    }
    this.#updates.push({ update_id: id, message })
    this.#deliver()
  }

  async close(): Promise<void> {
    this.#server.close()
    this.#server.closeAllConnections()
    await once(this.#server, 'close')
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const method = request.url?.split('/').at(-1)
    const chunks: Buffer[] = []
    for await (const chunk of request) chunks.push(chunk as Buffer)
    const body = JSON.parse(Buffer.concat(chunks).toString() || '{}') as {
      chat_id?: number
      timeout?: number
    }
    if (method === 'getUpdates' && body.timeout !== 0) {
      this.#poll = response
      return this.#deliver()
    }
    if (method === 'getMe')
      return reply(response, { id: 1, is_bot: true, first_name: 'bench', username: 'bench_bot' })
    const { chat_id: chat = 0 } = body
    reply(
      response,
      method === 'getUpdates'
        ? []
        : { message_id: this.#nextId++, date: 1, chat: { id: chat, type: 'private' } },
    )
    if (method === 'sendMessage') this.onMessage(chat)
  }

  #deliver(): void {
    if (!this.#poll || this.#updates.length === 0) return
    reply(this.#poll, this.#updates.splice(0, 100))
    this.#poll = undefined
    this.onDelivered()
  }
}

function reply(response: ServerResponse, result: unknown): void {
  response.setHeader('content-type', 'application/json')
  response.end(JSON.stringify({ ok: true, result }))
}
