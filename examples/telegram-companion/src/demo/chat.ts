import { once } from 'node:events'
import { startChatPage } from '../chat-page/chat-page.js'
import { modelOf } from '../gateway/config.js'
import type { DemoOptions } from './demo.js'
import { localCompanion } from './telegram.js'

const PEOPLE = [
  { name: 'Anna', chat: 1001, tenant: '1001' },
  { name: 'Ben', chat: 1002, tenant: '1002' },
]

/** A page on which one chats with the companion as two people, until the signal aborts. */
export async function chat({ boxes, dataDir, print, signal }: DemoOptions): Promise<void> {
  const idle = { pauseAfter: '10s', stopAfter: '30s' } as const
  await using companion = await localCompanion({ boxes, dataDir, idle, model: modelOf(process.env), signal })
  const page = await startChatPage({ server: companion.telegram, pool: companion.app.pool, users: PEOPLE })
  try {
    print(`\nChat with the companion as ${PEOPLE.map(({ name }) => name).join(' and ')}: ${page.url}`)
    print(
      'A box is paused after 10 s of silence and stopped after 30 s. ctrl-C ends it, and deletes everything.',
    )
    if (!signal.aborted) await once(signal, 'abort')
  } finally {
    await page.close()
  }
}
