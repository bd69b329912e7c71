import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { watch } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { AgentEvent, TenantPool } from '@tenantbox/core'
import { describe, expect, it, onTestFinished } from 'vitest'
import { Notebook } from '../src/notebook/notebook.js'
import { useAgent } from './support/agent.js'
import { processPool } from './support/pool.js'

const agent = useAgent()

const say = (pool: TenantPool, text: string, id?: string): Promise<string> =>
  pool.send('ada', { text, cause: 'user', ...(id === undefined ? {} : { id }) }).text()

function notebookOf(pool: TenantPool): Promise<Notebook> {
  const info = pool.get('ada')
  if (!info) throw new Error('nobody has written yet')
  return Notebook.open(info.workspaceDir)
}

describe('the agent, offline', { timeout: 60_000 }, () => {
  it('keeps notes over its sleep, and answers from them', async () => {
    const pool = await processPool(agent())
    expect(await say(pool, 'remember that my cat is called Miso')).toContain('my cat is called Miso')
    await say(pool, 'remember that my cat is called Miso')
    await pool.stop('ada')
    expect(await say(pool, 'what is my cat called?')).toBe('You told me:\n• my cat is called Miso')
    expect(await (await notebookOf(pool)).notes.list()).toEqual(['my cat is called Miso'])
    expect(await say(pool, 'forget my cat')).toContain('no longer')
    expect(await say(pool, 'what do you know?')).toContain('Nothing yet')
  })

  it('writes, lists and removes reminders in the time zone of the user', async () => {
    const pool = await processPool(agent())
    expect(await say(pool, 'remind me every weekday at 9 to stand up')).toContain('I count in UTC')
    expect(await say(pool, 'my time zone is europe/berlin')).toContain('Europe/Berlin')
    expect(await say(pool, 'my time zone is Moon/Sea')).toContain('do not know')
    const { reminders } = await notebookOf(pool)
    const answer = await say(pool, 'remind me tomorrow at 18:00 to call mum')
    expect(answer).toMatch(/tomorrow|on \w+, \d+ \w+ \d{4} at 18:00: call mum$/)
    expect(await reminders.list()).toContainEqual(
      expect.objectContaining({ text: 'call mum', timezone: 'Europe/Berlin' }),
    )
    const listed = await say(pool, 'my reminders')
    expect(listed).toContain('stand up, every weekday at 09:00')
    const number = listed.split('\n').findIndex((line) => line.includes('stand up')) + 1
    expect(await say(pool, `delete reminder ${number}`)).toContain('Removed: stand up')
    expect((await reminders.list()).map(({ text }) => text)).toEqual(['call mum'])
    expect(await say(pool, 'delete reminder 7')).toContain('no reminder 7')
  })

  it.each([
    ['remind me yesterday at 9 to call mum', 'That time has passed already.'],
    ['remind me in -5 minutes to call mum', 'That time has passed already.'],
    ['remind me every month to pay rent', 'When, and of what? For example'],
    ['remind me in 99999999999 minutes to rest', 'When, and of what? For example'],
    ['remind me', 'When, and of what? For example'],
    ['delete reminder 0', 'There is no reminder 0.'],
    ['my time zone is Berlin', 'They are written like Europe/Berlin.'],
    ['recuérdame en 5 minutos que llame a mamá', 'Ask for help to see which.'],
    ['提醒我五分钟后打电话', 'Ask for help to see which.'],
  ])('says kindly what it cannot do, and does nothing: %s', async (words, answer) => {
    const pool = await processPool(agent())
    expect(await say(pool, words)).toContain(answer)
    const { workspace } = await notebookOf(pool)
    expect(await workspace.schedules.list()).toEqual([])
  })

  it('does nothing twice for a message that is delivered twice', async () => {
    const pool = await processPool(agent())
    const first = await say(pool, 'remind me in 2 minutes to stretch', 'm1')
    await pool.stop('ada')
    expect(await say(pool, 'remind me in 2 minutes to stretch', 'm1')).toBe(first)
    const notebook = await notebookOf(pool)
    expect(await notebook.reminders.list()).toHaveLength(1)
    const session = await notebook.workspace.session.tail(10)
    expect(session.map(({ role, turn }) => `${role} ${turn}`)).toEqual(['user m1', 'assistant m1'])
  })

  it('answers anew what it had not finished, and still does it once', async () => {
    const pool = await processPool(agent())
    await say(pool, 'hello')
    const notebook = await notebookOf(pool)
    const text = 'remind me in 2 minutes to stretch'
    // As if it had died after writing the reminder, before its answer was on record.
    await notebook.workspace.session.append({ role: 'user', content: text, turn: 'm1' })
    const when = { every: '2m' } as const
    await notebook.reminders.add({ text: 'stretch', when, timezone: 'UTC' }, 'm1')
    expect(await say(pool, text, 'm1')).toContain('stretch')
    expect(await notebook.reminders.list()).toHaveLength(1)
    const said = await notebook.workspace.session.tail(10)
    expect(said.filter(({ role, turn }) => role === 'user' && turn === 'm1')).toHaveLength(1)
  })

  it('says a reminder when its time has come, and drops the one that is over', async () => {
    const pool = await processPool(agent())
    await say(pool, 'hello')
    const notebook = await notebookOf(pool)
    const at = new Date(Date.now() - 1_000).toISOString()
    const { id } = await notebook.workspace.schedules.add({ text: 'stretch', at })
    const due = { id: `${id}@${at}`, text: 'stretch', cause: 'schedule' as const, data: id }
    expect(await pool.send('ada', due).text()).toBe('⏰ stretch')
    expect(await notebook.workspace.schedules.list()).toEqual([])
  })

  it('keeps a file in the conversation', async () => {
    const pool = await processPool(agent())
    const files = [{ path: 'inbox/cat.jpg', name: 'cat.jpg', mediaType: 'image/jpeg', bytes: 3 }]
    expect(await pool.send('ada', { text: '', files, cause: 'user' }).text()).toContain('cat.jpg')
    const [entry] = await (await notebookOf(pool)).workspace.session.tail(2)
    expect(entry?.content).toContainEqual(expect.objectContaining({ type: 'file', path: 'inbox/cat.jpg' }))
  })

  it('ends by itself, and cleanly, when told to', async () => {
    const home = await mkdtemp(join(tmpdir(), 'companion-home-'))
    onTestFinished(() => rm(home, { recursive: true }))
    const socket = join(home, 'agent.sock')
    const env = { HOME: home, TENANTBOX_SOCKET: socket }
    const listening = new Promise<void>((resolve) => {
      const watcher = watch(home, (_event, name) => name === 'agent.sock' && resolve())
      onTestFinished(() => watcher.close())
    })
    const child = spawn(process.execPath, [join(agent(), 'agent.mjs')], { env, stdio: 'inherit' })
    onTestFinished(() => void child.kill('SIGKILL'))
    await listening
    child.kill('SIGTERM')
    expect(await once(child, 'exit')).toEqual([0, null])
  })

  it('survives a session and a notebook full of nonsense', async () => {
    const pool = await processPool(agent())
    await say(pool, 'remember that I like tea')
    const { workspace } = await notebookOf(pool)
    await workspace.files.write('session.jsonl', '{"broken\n\u0000\n[]\n')
    await workspace.files.write('SCHEDULES.json', '{ not json')
    expect(await say(pool, 'what do you know?')).toContain('I like tea')
    const events: AgentEvent[] = []
    for await (const event of pool.send('ada', 'my reminders')) events.push(event)
    expect(events.at(-1)).toMatchObject({ type: 'error', retryable: false })
  })
})
