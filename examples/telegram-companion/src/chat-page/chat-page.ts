import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { TenantPool } from '@tenantbox/core'
import type { BotApiServer, TestChat } from '@tenantbox/telegram/testing'
import { isForPage, isFromPage } from './guard.js'
import { loadPage } from './page.js'
import { attached, type Posting, readPosting } from './posting.js'
import { Stream } from './stream.js'
import type { PageUser } from './users.js'
import { viewOf } from './view.js'

export interface ChatPageOptions {
  readonly server: BotApiServer
  readonly pool: Pick<TenantPool, 'get' | 'on'>
  readonly users: readonly PageUser[]
  /** @default any free port of 127.0.0.1 */
  readonly port?: number | undefined
}

export interface ChatPage {
  /** To be opened in a browser on this machine. */
  readonly url: string
  close(): Promise<void>
}

/**
 * A web page on which one person chats as several users and sees what their boxes do. It listens on 127.0.0.1, and takes
 * messages only from itself: no other site that is open in the browser can post.
 */
export async function startChatPage({ server, pool, users, port }: ChatPageOptions): Promise<ChatPage> {
  const page = await loadPage()
  const speakers = new Map(
    users.map((user) => [user.chat, server.chat(user.chat).user({ first_name: user.name })]),
  )
  const stream = new Stream(
    users.map((user) => user.chat),
    (chat) => {
      const user = users.find((one) => one.chat === chat)
      return user && viewOf(user, server.chat(chat), pool.get(user.tenant)?.state ?? 'absent')
    },
  )
  const stops = [
    server.subscribe((event) => 'chat' in event && stream.changed(event.chat)),
    pool.on('transition', ({ tenant }) => {
      for (const user of users) if (user.tenant === tenant) stream.changed(user.chat)
    }),
  ]

  const post = (posting: Posting): boolean => {
    const user = speakers.get(posting.chat)
    if (!user) return false
    if (posting.type === 'message') user.say(posting.text)
    else if (hasButton(server.chat(posting.chat), posting)) user.press(posting.data, posting.message)
    else return false
    return true
  }

  const serve = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    if (!isForPage(request, boundPort())) return refuse(response, 403, 'Only this machine is served.')
    const { pathname } = new URL(request.url ?? '/', 'http://127.0.0.1')
    const route = `${request.method} ${pathname}`
    if (route === 'GET /') return page(response)
    if (!isFromPage(request, boundPort())) return refuse(response, 403, 'Only the page itself is served.')
    if (route === 'GET /events') return stream.add(response)
    if (route === 'POST /post') {
      const posting = await readPosting(request)
      if (!posting || !post(posting)) return refuse(response, 400, 'That cannot be posted.')
      return void response.writeHead(204).end()
    }
    const file = request.method === 'GET' ? attached(server, pathname) : undefined
    return file ? file(response) : refuse(response, 404, 'There is nothing here.')
  }

  const http = createServer((request, response) => {
    serve(request, response).catch((error: Error) => response.destroy(error))
  })
  const boundPort = (): number => (http.address() as AddressInfo).port
  await new Promise<void>((resolve, reject) => {
    http.once('error', reject)
    http.listen(port ?? 0, '127.0.0.1', resolve)
  })

  return {
    url: `http://127.0.0.1:${boundPort()}/`,
    async close() {
      for (const stop of stops) stop()
      stream.close()
      const closed = new Promise<void>((resolve) => http.close(() => resolve()))
      http.closeAllConnections()
      await closed
    },
  }
}

/** It may be gone by now: the page shows what was. */
function hasButton({ messages }: TestChat, { message, data }: { message: number; data: string }): boolean {
  const buttons = messages.find(({ id }) => id === message)?.buttons.flat() ?? []
  return buttons.some((button) => 'callback_data' in button && button.callback_data === data)
}

function refuse(response: ServerResponse, code: number, why: string): void {
  response.writeHead(code, { 'content-type': 'text/plain; charset=utf-8' }).end(why)
}
