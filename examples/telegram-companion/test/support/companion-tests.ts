import { existsSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { slugOf } from '@tenantbox/core'
import type { BotApiServer } from '@tenantbox/telegram/testing'
import { strFromU8, unzipSync } from 'fflate'
import { Api } from 'grammy'
import { expect, it } from 'vitest'
import { Notebook } from '../../src/notebook/notebook.js'
import { type Boxes, companionWorld } from './companion-world.js'
import { calls, fails, modelServer, says } from './model-server.js'

/** On a busy machine. */
const IN_TIME = { timeout: 20_000 }

/** What the companion promises, whatever its boxes are made of. */
export function companionTests(boxes: () => Boxes): void {
  it('keeps what two chats tell it apart', async () => {
    const { telegram, ask } = await companionWorld(boxes())
    const [anna, ben] = [telegram.chat(1001), telegram.chat(1002)]
    await Promise.all([
      ask(anna, 'remember that my cat is called Miso', /I will remember/),
      ask(ben, 'remember that my dog is called Rex', /I will remember/),
    ])
    expect(await ask(anna, 'what do you know?', /This is what I know/)).not.toContain('Rex')
    expect(await ask(ben, '/memory', /Notes/)).not.toContain('Miso')
    expect(await ask(ben, 'what do you know?', /Rex/)).not.toContain('Miso')
  })

  it('reminds when it was told to, and then no more', async () => {
    const world = await companionWorld(boxes())
    const anna = world.telegram.chat(1001)
    await world.ask(anna, 'remind me in 3 seconds to stretch', /I will remind you/)
    await anna.answer('⏰ stretch', IN_TIME)
    await world.ask(anna, 'my reminders', /There are none/)
  })

  it('reminds although the box sleeps', async () => {
    const world = await companionWorld(boxes())
    const { pool } = world.app
    const anna = world.telegram.chat(1001)
    await world.ask(anna, 'hello', /Hello/)
    await pool.stop('1001')
    const { generation = 0, workspaceDir = '' } = pool.get('1001') ?? {}
    const { reminders } = await Notebook.open(workspaceDir)
    const at = new Date(Date.now() + 2_000).toISOString()
    await reminders.add({ text: 'stretch', when: { at }, timezone: 'UTC' }, 'told before')
    expect(await world.ask(anna, '/reminders', /stretch/)).toMatch(/^1\. stretch, on /)
    expect(pool.get('1001')?.state).toBe('stopped')
    await anna.answer('⏰ stretch', IN_TIME)
    expect(pool.get('1001')?.generation).toBe(generation + 1)
  })

  it('deletes everything when told twice, and nothing before', async () => {
    const world = await companionWorld(boxes())
    const { telegram, ask, dataDir } = world
    const anna = telegram.chat(1001)
    const folder = join(dataDir, slugOf('1001'))
    await ask(anna, 'remember that my cat is called Miso', /I will remember/)
    await ask(anna, '/forget', /Shall I delete/)
    anna.user().press('Keep it')
    await anna.answer('I keep everything.', IN_TIME)
    expect(existsSync(join(folder, 'workspace', 'MEMORY.md'))).toBe(true)
    await ask(anna, '/forget', /Shall I delete/)
    anna.user().press('Delete everything')
    await anna.answer('Everything is deleted.', IN_TIME)
    expect(existsSync(join(folder, 'workspace'))).toBe(false)
    expect(world.app.pool.get('1001')?.state ?? 'absent').toBe('absent')
    expect(await ask(anna, '/memory', /nothing yet/)).not.toContain('Miso')
    expect(await ask(anna, 'what do you know?', /Nothing yet/)).not.toContain('Miso')
  })

  it('lets nobody else in a group confirm that', async () => {
    const { telegram } = await companionWorld(boxes())
    const group = telegram.chat(-1001)
    const [anna, ben] = [group.user({ id: 1, first_name: 'Anna' }), group.user({ id: 2, first_name: 'Ben' })]
    anna.say('/forget')
    await group.answer(/Shall I delete/, IN_TIME)
    const pressed = ben.press('Delete everything')
    await telegram.until(() => pressed.answer, IN_TIME)
    expect(pressed.answer?.text).toBe('Only who asked for it can say.')
    expect(group.answers.at(-1)?.text).toMatch(/Shall I delete/)
  })

  it('exports the workspace as a zip', async () => {
    const { telegram, ask } = await companionWorld(boxes())
    const anna = telegram.chat(1001)
    await ask(anna, 'remember that my cat is called Miso', /I will remember/)
    anna.user().sendDocument({ name: 'cat.txt', type: 'text/plain', bytes: Buffer.from('meow') })
    await anna.answer(/among your files/, IN_TIME)
    anna.user().say('/export')
    const id = await anna.until((chat) => chat.answers.at(-1)?.message.document?.file_id, IN_TIME)
    const files = unzipSync(await download(telegram, id))
    expect(strFromU8(files['MEMORY.md'] ?? new Uint8Array())).toContain('- my cat is called Miso')
    const paths = Object.keys(files)
    expect(paths).toContain('session.jsonl')
    expect(paths.filter((path) => path.endsWith('cat.txt'))).toHaveLength(1)
  })

  it('asks the model without the key ever getting near a box', async () => {
    const key = 'sk-the-key-of-the-gateway'
    const server = await modelServer(calls('remember', { note: 'likes tea' }), says('I will ', 'remember.'))
    const model = { baseUrl: server.baseUrl, key, model: 'test-model' }
    const world = await companionWorld(boxes(), { model })
    const anna = world.telegram.chat(1001)
    expect(await world.ask(anna, 'I like tea', /remember/)).toBe('I will remember.')
    expect(await world.ask(anna, '/memory', /likes tea/)).toContain('likes tea')
    expect(server.asked[0]?.headers.authorization).toBe(`Bearer ${key}`)
    const inside = await world.app.pool.use('1001', (box) =>
      box.exec(['sh', '-c', 'for f in /proc/[0-9]*/environ; do cat $f; done 2>/dev/null; cat "$HOME"/*']),
    )
    expect(inside.stdout).toContain('likes tea')
    expect(inside.stdout).toContain('COMPANION_MODEL=test-model')
    expect(inside.stdout).not.toContain(key)
    expect(world.lines.join('\n')).not.toMatch(/tea|sk-the-key/)
  })

  it('says at once that its model refuses, and tries again where that may help', async () => {
    const server = await modelServer(fails(401), fails(429), says('Here I am.'))
    const model = { baseUrl: server.baseUrl, key: 'sk-key', model: 'test-model' }
    const { telegram, ask } = await companionWorld(boxes(), { model })
    const anna = telegram.chat(1001)
    expect(await ask(anna, 'hello?', /refuses/)).toBe(
      'My model refuses to answer. Please tell whoever runs me.',
    )
    expect(await ask(anna, 'and now?', /Here/)).toBe('Here I am.')
    expect(server.asked).toHaveLength(3)
  })

  it('stops the answer that it is giving', async () => {
    const server = await modelServer((response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' })
      response.write('data: {"choices":[{"delta":{"content":"Once upon a time"}}]}\n\n')
    }, says('Yes?'))
    const model = { baseUrl: server.baseUrl, key: 'sk-key', model: 'test-model' }
    const { telegram, ask } = await companionWorld(boxes(), { model })
    const anna = telegram.chat(1001)
    anna.user().say('tell me a story')
    await anna.answer(/Once upon/, IN_TIME)
    await ask(anna, '/cancel', /Stopped/)
    expect(await ask(anna, 'hello?', /Yes/)).toBe('Yes?')
  })

  it('shows what people wrote as they wrote it', async () => {
    const { telegram, ask } = await companionWorld(boxes())
    const anna = telegram.chat(1001)
    const note = 'a *b* _c_ [d](https://e.f) `g` <h> &amp; \\ 1 < 2 ~~i~~ #j'
    expect(await ask(anna, `remember that ${note}`, /I will remember/)).toBe(`I will remember: ${note}`)
    expect(await ask(anna, 'what do you know?', /This is/)).toBe(`This is what I know:\n• ${note}`)
  })

  it('says so at once when a file of the tenant cannot be read', async () => {
    const { app, telegram, ask } = await companionWorld(boxes())
    const anna = telegram.chat(1001)
    await ask(anna, 'hello', /Hello/)
    const { workspaceDir = '' } = app.pool.get('1001') ?? {}
    await writeFile(join(workspaceDir, 'SCHEDULES.json'), '{ no json')
    expect(await ask(anna, '/reminders', /My files/)).toContain('SCHEDULES.json')
    expect(await ask(anna, 'my reminders', /My files/)).toContain('SCHEDULES.json')
    expect(await ask(anna, '/memory', /nothing yet/)).toBeTruthy()
  })

  it('tells how the box is doing without waking it', async () => {
    const { app, telegram, ask } = await companionWorld(boxes())
    const anna = telegram.chat(1001)
    expect(await ask(anna, '/start', /box of my own/)).toContain('/forget')
    expect(await ask(anna, '/memory', /nothing yet/)).toBeTruthy()
    expect(await ask(anna, '/status', /Your box is/)).toContain('Your box is not made yet.')
    await ask(anna, 'hello', /Hello/)
    await app.pool.stop('1001')
    expect(await ask(anna, '/status', /Your box is/)).toContain('Your box is asleep.')
    expect(app.pool.get('1001')?.state).toBe('stopped')
  })
}

async function download({ url, token }: BotApiServer, fileId: string): Promise<Uint8Array> {
  const { file_path: path } = await new Api(token, { apiRoot: url }).getFile(fileId)
  const response = await fetch(`${url}/file/bot${token}/${path}`)
  return new Uint8Array(await response.arrayBuffer())
}
