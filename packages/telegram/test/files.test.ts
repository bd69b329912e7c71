import { readFile, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type AgentEvent, isTenantBoxError } from '@tenantbox/core'
import { testClock } from '@tenantbox/core/testing'
import { isWorkspaceError } from '@tenantbox/workspace'
import { expect, test } from 'vitest'
import { passTimeUntil } from '../../core/test/pass-time.js'
import { running, setup } from './support/setup.js'
import { watched } from './support/token-watch.js'

const done: AgentEvent = { type: 'done' }
const text = (said: string): AgentEvent => ({ type: 'text', text: said })

test('documents, photos and voice reach the workspace, with their captions', async () => {
  const { server, asked, pool } = await running({
    answers: ({ files = [] }) => [text(files.map(({ mediaType }) => mediaType).join()), done],
  })
  const chat = server.chat(7)
  const anna = chat.user()
  anna.sendDocument(
    { name: 'notes.txt', bytes: Buffer.from('dear diary'), type: 'text/plain' },
    { caption: 'read this' },
  )
  await chat.answer('text/plain')
  anna.sendVoice({ name: 'voice.ogg', bytes: Buffer.from('ogg'), type: 'audio/ogg' })
  await chat.answer('audio/ogg')
  const [first] = asked.all
  expect(first).toMatchObject({ text: 'read this', files: [{ name: 'notes.txt', bytes: 10 }] })
  const path = join(pool.get('7')?.workspaceDir ?? '', first?.files?.[0]?.path ?? '')
  expect(await readFile(path, 'utf8')).toBe('dear diary')
})

test('a name that leads elsewhere leads nowhere', async () => {
  const { server, asked } = await running()
  server
    .chat(7)
    .user()
    .sendDocument(
      { name: '../../../etc/pass\u202ewd', bytes: Buffer.from('x'), type: 'text/plain' },
      { caption: 'evil' },
    )
  await server.chat(7).answer('evil')
  expect(asked.all[0]?.files?.[0]?.path).toMatch(/^inbox\/\d+-_.._.._etc_pass_wd$/)
})

test('a file that is too large is refused, and the user told', async () => {
  const errors: unknown[] = []
  const { server } = await running({
    telegram: {
      files: { maxBytes: 10 },
      onFailure: (error) => {
        errors.push(watched('failure', error))
        return 'too large'
      },
    },
  })
  server
    .chat(7)
    .user()
    .sendDocument({ name: 'big.bin', bytes: Buffer.alloc(11), type: 'application/octet-stream' })
  await server.chat(7).answer('too large')
  expect(isTenantBoxError(errors[0], 'TOO_LARGE')).toBe(true)
})

test('a symlink in the way of a file that comes in is not followed', async () => {
  const { server, pool, dataDir, asked } = await running({ telegram: { onFailure: () => 'no' } })
  const chat = server.chat(7)
  chat.user().say('hello')
  await chat.answer('hello')
  await symlink(dataDir, join(pool.get('7')?.workspaceDir ?? '', 'inbox'))
  chat.user().sendDocument({ name: 'notes.txt', bytes: Buffer.from('x'), type: 'text/plain' })
  await chat.answer('no')
  expect(asked.all).toHaveLength(1)
})

test('files of the agent are sent, images as photos, between the texts', async () => {
  const { server } = await running({
    async *answers(_message, { env }) {
      await writeFile(join(env.HOME ?? '', 'chart.png'), 'png')
      await writeFile(join(env.HOME ?? '', 'report.pdf'), 'pdf')
      yield text('look:')
      yield { type: 'file', file: { path: 'chart.png', mediaType: 'image/png', caption: 'a **chart**' } }
      yield { type: 'file', file: { path: 'report.pdf', name: 'Report 1.pdf' } }
      yield text('that is all')
      yield done
    },
  })
  const chat = server.chat(7)
  chat.user().say('show me')
  await chat.answer('that is all')
  const [first, photo, document, last] = chat.answers
  expect([first?.text, last?.text]).toEqual(['look:', 'that is all'])
  expect(photo?.message.photo).toBeDefined()
  expect(photo?.message.caption_entities).toEqual([{ type: 'bold', offset: 2, length: 5 }])
  expect(document?.message.document?.file_name).toBe('Report 1.pdf')
})

test('captions count to what an answer may say', async () => {
  const { server, warnings } = await running({
    async *answers(_message, { env }) {
      await writeFile(join(env.HOME ?? '', 'a.txt'), 'a')
      await writeFile(join(env.HOME ?? '', 'b.txt'), 'b')
      yield { type: 'file', file: { path: 'a.txt', caption: 'x'.repeat(39_999) } }
      yield { type: 'file', file: { path: 'b.txt', caption: 'yz' } }
      yield text('that is all')
      yield done
    },
  })
  const chat = server.chat(7)
  chat.user().say('show me')
  await chat.until(({ answers }) => answers.at(-1)?.message.document?.file_name === 'b.txt')
  await warnings.first(({ code }) => code === 'ANSWER_CUT')
  expect(chat.answers.at(-1)?.message.caption).toBe('y…')
})

test.each([
  ['many files', 100, (index: number) => `missing-${index}`],
  ['long names', 2, () => 'x'.repeat(50_000)],
])('an answer of %s is cut, and the agent told to stop', async (_what, shown, path) => {
  const clock = testClock()
  const { server, warnings, cancelled } = await running({
    telegram: { clock },
    *answers() {
      for (let index = 0; index < 1_000; index++) yield { type: 'file', file: { path: path(index) } }
      yield done
    },
  })
  server.chat(7).user().say('all of them')
  await cancelled.count(1)
  await passTimeUntil(warnings.count(shown + 1), clock, 1_000)
  const codes = warnings.all.map(({ code }) => code)
  expect(codes.filter((code) => code === 'FILE_NOT_SENT')).toHaveLength(shown)
  expect(codes.filter((code) => code === 'ANSWER_CUT')).toHaveLength(1)
})

test('an image that Telegram does not take as a photo is sent as a document', async () => {
  const { server } = await running({
    async *answers(_message, { env }) {
      await writeFile(join(env.HOME ?? '', 'long.png'), 'png')
      yield { type: 'file', file: { path: 'long.png' } }
      yield done
    },
  })
  server.fail(
    { type: 'error', code: 400, description: 'Bad Request: PHOTO_INVALID_DIMENSIONS' },
    { method: 'sendPhoto' },
  )
  const chat = server.chat(7)
  chat.user().say('go')
  await chat.until(({ answers }) => answers.some(({ message }) => message.document))
})

test.each([
  ['a symlink', 'link'],
  ['a missing file', 'missing'],
  ['a path that leaves the workspace', '../tenant.json'],
  ['a folder', '.'],
])('%s of the agent is not sent; the answer is', async (_what, path) => {
  const { server, warnings } = await running({
    async *answers(_message, { env }) {
      await symlink('/etc/passwd', join(env.HOME ?? '', 'link')).catch(() => undefined)
      yield { type: 'file', file: { path } }
      yield text('sorry')
      yield done
    },
  })
  server.chat(7).user().say('go')
  await server.chat(7).answer('sorry')
  const { cause } = await warnings.first(({ code }) => code === 'FILE_NOT_SENT')
  expect(isWorkspaceError(cause)).toBe(true)
  expect(server.chat(7).answers).toHaveLength(1)
})

test('a file of the agent that is too large is not sent; the answer is', async () => {
  const { server, warnings } = await running({
    telegram: { files: { maxBytes: 1000 } },
    async *answers(_message, { env }) {
      await writeFile(join(env.HOME ?? '', 'big'), Buffer.alloc(5000))
      yield { type: 'file', file: { path: 'big' } }
      yield text('sorry')
      yield done
    },
  })
  server.chat(7).user().say('go')
  await server.chat(7).answer('sorry')
  await warnings.first(({ code, cause }) => code === 'FILE_NOT_SENT' && isTenantBoxError(cause, 'TOO_LARGE'))
})

test('an album is one message', async () => {
  const { server, asked } = await running({
    answers: ({ files = [], text: said }) => [text(`${files.length} ${said}`), done],
  })
  const chat = server.chat(7)
  const photo = (name: string) => ({
    kind: 'photo' as const,
    name,
    bytes: Buffer.from(name),
    type: 'image/jpeg',
  })
  chat.user().sendAlbum([{ ...photo('a'), caption: 'us' }, photo('b'), photo('c')])
  await chat.answer('3 us')
  expect(asked.all).toHaveLength(1)
})

test('what is said after an album is answered after it', async () => {
  const { server, asked } = await running({ telegram: { gather: '1h' } })
  const chat = server.chat(7)
  const photo = { kind: 'photo' as const, name: 'a', bytes: Buffer.from('a'), type: 'image/jpeg' }
  chat.user().sendAlbum([{ ...photo, caption: 'us' }, photo])
  chat.user().say('nice?')
  await chat.answer('nice?')
  expect(asked.all.map((message) => message.text)).toEqual(['us', 'nice?'])
})

test('an album that was being gathered when the gateway ended is not lost', async () => {
  const clock = testClock()
  const { server, process, asked } = await setup({ telegram: { clock, gather: '10s' } })
  const first = await process()
  await first.tg.start()
  const photo = { kind: 'photo' as const, name: 'a', bytes: Buffer.from('a'), type: 'image/jpeg' }
  server
    .chat(7)
    .user()
    .sendAlbum([{ ...photo, caption: 'us' }, photo])
  await server.until(() => server.pendingUpdates.length === 0)
  await first.close()
  const second = await process()
  await second.tg.start()
  expect(asked.all).toEqual([])
  await clock.advance(10_000)
  await server.chat(7).answer('us')
  expect(asked.all).toHaveLength(1)
  expect(asked.all[0]?.files).toHaveLength(2)
})
