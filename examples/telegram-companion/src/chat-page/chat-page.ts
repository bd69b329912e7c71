import type { TenantPool } from '@tenantbox/core'
import type { BotApiServer, TestChat } from '@tenantbox/telegram/testing'
import { listenLocally, refuse } from './local-http.js'
import { loadPage } from './page.js'
import { attached, type Posting, readPosting } from './posting.js'
import { Stream } from './stream.js'
import type { PageUser } from './users.js'
import { viewOf } from './view.js'

interface ChatPageOptions {
  readonly server: BotApiServer
  readonly pool: Pick<TenantPool, 'get' | 'on'>
  readonly users: readonly PageUser[]
  /** @default any free port of 127.0.0.1 */
  readonly port?: number | undefined
}

interface ChatPage {
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

  const http = await listenLocally(port ?? 0, async (request, response, fromPage) => {
    const { pathname } = new URL(request.url ?? '/', 'http://127.0.0.1')
    const route = `${request.method} ${pathname}`
    if (route === 'GET /') return page(response)
    if (!fromPage) return refuse(response, 403, 'Only the page itself is served.')
    if (route === 'GET /events') return stream.add(response)
    if (route === 'POST /post') {
      const posting = await readPosting(request)
      if (!posting || !post(posting)) return refuse(response, 400, 'That cannot be posted.')
      response.writeHead(204).end()
      return
    }
    const file = request.method === 'GET' ? attached(server, pathname) : undefined
    if (!file) return refuse(response, 404, 'There is nothing here.')
    file(response)
  })

  return {
    url: http.url,
    async close() {
      for (const stop of stops) stop()
      stream.close()
      await http.close()
    },
  }
}

/** It may be gone by now: the page shows what was. */
function hasButton({ messages }: TestChat, { message, data }: { message: number; data: string }): boolean {
  const buttons = messages.find(({ id }) => id === message)?.buttons.flat() ?? []
  return buttons.some((button) => 'callback_data' in button && button.callback_data === data)
}
