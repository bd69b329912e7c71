import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { slugOf } from '@tenantbox/core'
import { testClock } from '@tenantbox/core/testing'
import { BotApiServer } from '@tenantbox/telegram/testing'
import { Api } from 'grammy'
import { expect, test } from 'vitest'
import { Chat } from '../src/sending/chat.js'
import { Outgoing } from '../src/sending/outgoing.js'
import { TenantRecord } from '../src/sending/tenant-record.js'
import { plain } from '../src/text/formatted.js'
import { atEnd, temporaryFolder } from './support/setup.js'
import { TOKEN } from './support/token-watch.js'

async function chatAndRecord() {
  const server = await BotApiServer.start({ token: TOKEN })
  atEnd(() => server.close())
  const chat = server.chat(7)
  chat.user().say('hello')
  const dataDir = await temporaryFolder()
  await mkdir(join(dataDir, slugOf('7')))
  /** As another process would go about the turn: all it has is what was noted. */
  const attempt = (turn: string): Outgoing => {
    const record = new TenantRecord(dataDir)
    const made = new Chat({
      api: new Api(TOKEN, { apiRoot: server.url }),
      tenant: '7',
      place: { chat: 7 },
      signal: new AbortController().signal,
      clock: testClock(),
      onMoved: async () => undefined,
    })
    return new Outgoing(made, turn, record.sent('7', turn), (sent) => record.noteSent('7', sent))
  }
  return { chat, attempt }
}

test('a user is told of a failure once, however often the turn begins anew', async () => {
  const { chat, attempt } = await chatAndRecord()
  await attempt('turn').apologize(plain('sorry'))
  await attempt('turn').apologize(plain('sorry'))
  expect(chat.answers.map(({ text }) => text)).toEqual(['sorry'])
  await attempt('another turn').apologize(plain('sorry again'))
  expect(chat.answers.map(({ text }) => text)).toEqual(['sorry', 'sorry again'])
})

test('what the turn says after all does not make it tell of a failure twice', async () => {
  const { chat, attempt } = await chatAndRecord()
  await attempt('turn').apologize(plain('sorry'))
  const second = attempt('turn')
  await second.post(plain('half an answer'), 'final')
  await attempt('turn').apologize(plain('sorry'))
  expect(chat.answers.map(({ text }) => text)).toEqual(['sorry', 'half an answer'])
})
