import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { BotApiServer } from '@tenantbox/telegram/testing'
import { expect, test } from 'vitest'
import { atEnd, temporaryFolder } from '../support/setup.js'
import { TOKEN, watched } from '../support/token-watch.js'
import { useBundled } from './bundled.js'

const KILLS = 55
const CHATS = 20
const MESSAGES = 25

/** A message of the bot's: in which life of the gateway it was sent. */
interface Shown {
  readonly chat: number
  readonly text: string
  readonly life: number
}

const program = useBundled(fileURLToPath(new URL('gateway.ts', import.meta.url)))

test('kill -9 at random instants: every message is answered, in order, and again only if it was in flight', async () => {
  const dataDir = join(await temporaryFolder(), 'data')
  const server = await BotApiServer.start({ token: TOKEN })
  atEnd(() => server.close())
  const shown: Shown[] = []
  let life = 0
  server.subscribe((event) => {
    if (event.type === 'message' && event.message.fromBot)
      shown.push({ chat: event.chat, text: event.message.text, life })
  })
  const run = (): ChildProcess => {
    const child = spawn(process.execPath, [program()], {
      env: { DATA_DIR: dataDir, API_ROOT: server.url, TOKEN },
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    atEnd(() => child.kill('SIGKILL'))
    for (const stream of [child.stdout, child.stderr])
      stream?.on('data', (chunk) => {
        watched('output of the gateway', String(chunk))
        process.stderr.write(chunk)
      })
    return child
  }
  const all = Array.from({ length: CHATS * MESSAGES }, (_, index) => ({
    chat: 1 + (index % CHATS),
    text: `message ${index}`,
  }))
  let said = 0
  const sayUpTo = (count: number): void => {
    for (const { chat, text } of all.slice(said, count)) server.chat(chat).user().say(text)
    said = Math.max(said, count)
  }

  for (; life < KILLS; life++) {
    const child = run()
    const exited = once(child, 'exit')
    sayUpTo(Math.ceil((all.length * (life + 1)) / KILLS))
    const answers = shown.length
    // Sometimes while it starts, mostly at work.
    const wanted = life % 5 === 0 ? 0 : 1 + Math.floor(Math.random() * 12)
    const left = all.length - new Set(shown.map(({ text }) => text)).size
    if (wanted > 0 && left > 0)
      await server.until(() => shown.length >= answers + Math.min(wanted, Math.ceil(left / 2)), {
        timeout: 60_000,
      })
    await setTimeout(Math.random() * 60)
    child.kill('SIGKILL')
    expect(await exited).toEqual([null, 'SIGKILL'])
  }
  const last = run()
  const exited = once(last, 'exit')
  await server.until(() => new Set(shown.map(({ text }) => text)).size === all.length, { timeout: 60_000 })
  last.kill('SIGKILL')
  await exited

  for (let chat = 1; chat <= CHATS; chat++) {
    const own = shown.filter((one) => one.chat === chat)
    const wanted = all.filter((one) => one.chat === chat).map(({ text }) => text)
    expect([...new Set(own.map(({ text }) => text))]).toEqual(wanted)
    for (const [index, { text, life: at }] of own.entries()) {
      const before = own.slice(0, index).findLast((one) => one.text === text)
      if (!before) continue
      // It was the last that was sent in its chat when the gateway was killed.
      expect(before.life).toBeLessThan(at)
      expect(own[index - 1]?.text).toBe(text)
    }
  }
}, 600_000)
