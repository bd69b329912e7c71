import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { TenantPool } from '@tenantbox/core'
import { memoryDriver } from '@tenantbox/core/testing'
import { BotApiServer } from '@tenantbox/telegram/testing'
import { onTestFinished } from 'vitest'
import { TOKEN } from '../../../../packages/telegram/test/support/token-watch.js'
import { startChatPage } from '../../src/chat-page/chat-page.js'

/** The page for Anna and Ben, with a pool whose boxes are in memory. All is closed when the test ends. */
export async function openPage() {
  const dataDir = await mkdtemp(join(tmpdir(), 'chat-page-'))
  onTestFinished(() => rm(dataDir, { recursive: true, force: true }))
  const pool = new TenantPool({ name: 'chatpage', driver: memoryDriver(), dataDir, box: { image: 'none' } })
  onTestFinished(() => pool.close())
  const server = await BotApiServer.start({ token: TOKEN })
  onTestFinished(() => server.close())
  const users = [
    { name: 'Anna', chat: 1, tenant: 'anna' },
    { name: 'Ben', chat: 2, tenant: 'ben' },
  ]
  const page = await startChatPage({ server, pool, users })
  onTestFinished(() => page.close())

  /** A call as a bot makes it. */
  const api = async (method: string, params: Record<string, unknown>) => {
    const response = await fetch(`${server.url}/bot${server.token}/${method}`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(params),
    })
    const answer: { ok: boolean; description?: string; result: { message_id: number } } = JSON.parse(
      await response.text(),
    )
    if (!answer.ok) throw new Error(answer.description)
    return answer.result
  }
  return { api, page, pool, server, url: page.url }
}
