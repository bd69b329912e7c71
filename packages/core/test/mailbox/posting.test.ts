import { execFileSync } from 'node:child_process'
import { mkdir, readdir, readFile, rename, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { Mailbox } from '../../src/index.js'
import { MOST_DONE } from '../../src/mailbox/ledger.js'
import { formatMessage } from '../../src/mailbox/message-file.js'
import { doneNameOf, keyOf, parseName } from '../../src/mailbox/message-name.js'
import { testClock } from '../../src/testing/index.js'
import { failure, of, setup } from '../pool/helpers.js'
import { deferred, ids, watch } from './helpers.js'

const HOUR = 3_600_000
const nothing = async (): Promise<void> => {}

describe('posting', () => {
  it('keeps the order of the calls, whatever order the disk is asked in', async () => {
    const { pool } = await setup()
    const handled: string[] = []
    const { mailbox, seen, next } = watch<number>(pool, { handle: async ({ id }) => void handled.push(id) })
    await mailbox.start()
    const last = next('done', () => ids(seen, 'done').length === 300)
    const all = Array.from({ length: 300 }, (_, index) => `${index}`)
    await Promise.all(all.map((id) => mailbox.post('a', { id, body: 0 })))
    await last
    expect(handled).toEqual(all)
  })

  it('opens the pool, and makes the folder of a tenant that never woke', async () => {
    const { pool, dataDir } = await setup()
    const { mailbox } = watch(pool, { handle: nothing })
    await mailbox.post('never seen', { id: '1', body: null })
    expect(pool.get('never seen')).toMatchObject({ state: 'absent' })
    const { slug } = pool.get('never seen') ?? { slug: '' }
    expect(await readdir(join(dataDir, slug))).toContain('tenant.json')
    // A wake and a first message at the same time make one folder.
    await Promise.all([pool.ensure('both'), mailbox.post('both', { id: '1', body: null })])
  })

  it('takes ids of any kind, and tells all of them apart', async () => {
    const { pool } = await setup()
    const { mailbox } = watch(pool, { handle: nothing })
    const odd = [
      '../../etc/passwd',
      'a/b',
      '\0',
      'a\nb',
      'É',
      'E\u0301',
      '\ud800',
      '\udfff',
      'x'.repeat(1024),
      ' ',
      '.',
    ]
    for (const id of odd) expect(await mailbox.post('a', { id, body: 0 })).toEqual({ duplicate: false })
    for (const id of odd) expect(await mailbox.post('a', { id, body: 0 })).toEqual({ duplicate: true })
    for (const id of ['', 'x'.repeat(1025), 1 as unknown as string])
      await failure(mailbox.post('a', { id, body: 0 }), 'INVALID_OPTION')
    await failure(mailbox.post('', { id: '1', body: 0 }), 'INVALID_TENANT')
  })

  it('gives any body back as it was', async () => {
    const { pool } = await setup()
    const bodies = new Map<string, unknown>()
    const { mailbox, next } = watch(pool, { handle: async ({ id, body }) => void bodies.set(id, body) })
    await mailbox.start()
    let count = 0
    await fc.assert(
      fc.asyncProperty(fc.jsonValue(), async (body) => {
        const id = `${count++}`
        const done = next('done', (event) => event.id === id)
        await mailbox.post('a', { id, body: body as null })
        await done
        expect(bodies.get(id)).toEqual(JSON.parse(JSON.stringify(body)))
      }),
      { numRuns: 30 },
    )
  })

  it('refuses what is no JSON or too much of it', async () => {
    const { pool } = await setup()
    const { mailbox } = watch(pool, { handle: nothing })
    const circle: { self?: unknown } = {}
    circle.self = circle
    let asked = 0
    // The first answer counts: what was looked at is what is stored.
    const fickle = { toJSON: () => (asked++ === 0 ? 1 : undefined) }
    expect(formatMessage('a', { id: '1', postedAt: 0, body: fickle as unknown as null })).toBe(
      '{"version":1,"id":"1","postedAt":0,"body":1}',
    )
    for (const message of [null, undefined, 'hello', 1, () => 1])
      await failure(mailbox.post('a', message as unknown as { id: string; body: null }), 'INVALID_OPTION')
    for (const body of [undefined, () => 1, 1n, circle])
      await failure(mailbox.post('a', { id: '1', body: body as unknown as null }), 'INVALID_OPTION')
    const error = await failure(mailbox.post('a', { id: '1', body: 'x'.repeat(1024 ** 2) }), 'TOO_LARGE')
    expect(error.details).toMatchObject({ limit: 1024 ** 2 })
    expect(error.retryable).toBe(false)
    expect(await mailbox.post('a', { id: '1', body: 'x'.repeat(1024 ** 2 - 100) })).toEqual({
      duplicate: false,
    })
  })

  it('knows an id again: waiting, being handled, done, over a restart, and until keepDone has passed', async () => {
    const clock = testClock()
    const { pool, again } = await setup({ clock })
    const hold = deferred()
    const first = watch(pool, { keepDone: '1h', handle: () => hold.promise })
    const two = await Promise.all([1, 2].map(() => first.mailbox.post('a', { id: '1', body: 0 })))
    expect(two).toEqual([{ duplicate: false }, { duplicate: true }])
    await first.mailbox.start()
    expect(await first.mailbox.post('a', { id: '1', body: 0 })).toEqual({ duplicate: true })
    const done = first.next('done')
    hold.resolve()
    await done
    expect(await first.mailbox.post('a', { id: '1', body: 0 })).toEqual({ duplicate: true })
    expect(await first.mailbox.post('b', { id: '1', body: 0 })).toEqual({ duplicate: false })
    await pool.close()
    const second = watch(again(), { keepDone: '1h', handle: nothing })
    await clock.advance(HOUR - 1)
    expect(await second.mailbox.post('a', { id: '1', body: 0 })).toEqual({ duplicate: true })
    await clock.advance(2)
    expect(await second.mailbox.post('a', { id: '1', body: 0 })).toEqual({ duplicate: false })
  })

  it('keeps the number of done ids bounded, and the latest', async () => {
    const { pool, again, dataDir } = await setup()
    const first = watch(pool, { handle: nothing })
    await first.mailbox.post('a', { id: 'first', body: 0 })
    const folder = join(dataDir, 'a', 'mailbox', 'done')
    const now = Date.now()
    for (let index = 0; index < MOST_DONE + 5; index++) {
      const name = doneNameOf({ sequence: 2 + index, key: keyOf(`${index}`), at: now - 100_000 + index })
      await writeFile(join(folder, name), '')
    }
    await pool.close()
    const second = watch(again(), { handle: nothing })
    const done = second.next('done')
    await second.mailbox.start()
    await done
    expect(await second.mailbox.post('a', { id: `${MOST_DONE}`, body: 0 })).toEqual({ duplicate: true })
    expect(await readdir(folder)).toHaveLength(MOST_DONE)
  })

  it('numbers on when the clock is set back, and when all that was is handled and forgotten', async () => {
    const clock = testClock()
    const { pool, again, dataDir } = await setup({ clock })
    const first = watch(pool, { keepDone: '1m', handle: nothing })
    await first.mailbox.start()
    for (const id of ['1', '2', '3']) {
      const done = first.next('done')
      await first.mailbox.post('a', { id, body: 0 })
      await done
    }
    await pool.close()
    clock.set(clock.now() - 10 * 24 * HOUR)
    const second = watch(again(), { keepDone: '1m', handle: nothing })
    // What was done in the future counts as done now.
    expect(await second.mailbox.post('a', { id: '3', body: 0 })).toEqual({ duplicate: true })
    await clock.advance(HOUR)
    for (const id of ['1', '2', '3'])
      expect(await second.mailbox.post('a', { id, body: 0 })).toEqual({ duplicate: false })
    const names = await readdir(join(dataDir, 'a', 'mailbox', 'new'))
    expect(names.map((name) => parseName(name)?.sequence).sort()).toEqual([4, 5, 6])
  })
})

describe('bounds', () => {
  it('refuse one more of a tenant, waiting or failed, and one more in all', async () => {
    const { pool } = await setup()
    const hold = deferred()
    const { mailbox, next } = watch(pool, {
      maxDepth: 2,
      maxWaiting: 3,
      maxAttempts: 1,
      handle: async ({ id }) => {
        if (id === 'bad') throw new Error('on purpose')
        await hold.promise
      },
    })
    await mailbox.start()
    const failed = next('failed')
    await mailbox.post('a', { id: 'bad', body: 0 })
    await failed
    await mailbox.post('a', { id: '2', body: 0 })
    const full = await failure(mailbox.post('a', { id: '3', body: 0 }), 'MAILBOX_FULL')
    expect(full.details).toEqual({ bound: 'tenant', depth: 2, limit: 2 })
    expect(full).toMatchObject({ tenant: 'a', retryable: true, retryAfter: 5_000 })
    expect(await mailbox.post('a', { id: '2', body: 0 })).toEqual({ duplicate: true })
    const posts = await Promise.allSettled(
      ['b', 'c', 'd'].map((to) => mailbox.post(to, { id: '1', body: 0 })),
    )
    expect(posts.filter(({ status }) => status === 'fulfilled')).toHaveLength(2)
    const total = await failure(mailbox.post('e', { id: '1', body: 0 }), 'MAILBOX_FULL')
    expect(total.details).toEqual({ bound: 'total', depth: 3, limit: 3 })
    const done = next('done', ({ tenant }) => tenant === 'a')
    hold.resolve()
    await done
    expect(await mailbox.post('a', { id: '3', body: 0 })).toEqual({ duplicate: false })
  })

  it('count what waits since before a restart', async () => {
    const { pool, again } = await setup()
    const first = watch(pool, { handle: nothing })
    for (const tenant of ['a', 'b']) await first.mailbox.post(tenant, { id: '1', body: 0 })
    await pool.close()
    const second = watch(again(), {
      maxWaiting: 2,
      concurrency: 1,
      handle: () => new Promise(() => undefined),
    })
    await second.mailbox.start()
    await failure(second.mailbox.post('c', { id: '1', body: 0 }), 'MAILBOX_FULL')
  })
})

describe('what the mailbox did not put there', () => {
  it('is set aside and told of, and keeps nobody waiting', async () => {
    const world = await setup()
    const first = watch<string>(world.pool, { handle: nothing })
    for (const id of ['torn', 'swapped', 'link', 'good']) await first.mailbox.post('a', { id, body: id })
    await first.mailbox.post('b', { id: 'other', body: '' })
    await world.pool.close()
    const folder = join(world.dataDir, 'a', 'mailbox')
    const fileOf = async (id: string): Promise<string> => {
      const names = await readdir(join(folder, 'new'))
      return join(folder, 'new', names.find((name) => parseName(name)?.key === keyOf(id)) ?? '')
    }
    await writeFile(await fileOf('torn'), '{"version":1,"id":"to')
    await writeFile(await fileOf('swapped'), await readFile(await fileOf('good')))
    const link = await fileOf('link')
    await rename(link, join(folder, 'elsewhere'))
    await symlink(join(folder, 'elsewhere'), link)
    await mkdir(join(folder, 'new', 'a folder'))
    await writeFile(join(folder, 'failed', '.DS_Store'), '')
    await writeFile(join(folder, 'done', 'x'.repeat(255)), '')
    execFileSync('mkfifo', [join(folder, 'new', `${'9'.repeat(15)}8.${keyOf('fifo')}.000`)])
    const second = watch<string>(world.again(), { handle: nothing })
    const [a, b] = [
      second.next('done', ({ tenant }) => tenant === 'a'),
      second.next('done', ({ tenant }) => tenant === 'b'),
    ]
    await second.mailbox.start()
    await Promise.all([a, b])
    expect(ids(second.seen, 'done').sort()).toEqual(['good', 'other'])
    expect(await readdir(join(folder, 'aside'))).toHaveLength(7)
    const warnings = of(world.events, 'warning').map(({ code, tenant }) => `${code} ${tenant}`)
    expect(warnings).toEqual(Array(7).fill('MAILBOX_FOREIGN_FILE a'))
    expect(await second.mailbox.post('a', { id: 'torn', body: '' })).toEqual({ duplicate: false })
  })
})

describe('a mailbox whose folder was meddled with', () => {
  it('sets folders aside that are where a message was written, or have the name of one', async () => {
    const clock = testClock()
    const world = await setup({ clock })
    const first = watch(world.pool, { keepDone: '1h', handle: nothing })
    await first.mailbox.post('a', { id: '1', body: 0 })
    await world.pool.close()
    const folder = join(world.dataDir, 'a', 'mailbox')
    await mkdir(join(folder, 'tmp', 'a folder', 'in it'), { recursive: true })
    const done = { sequence: 1, key: keyOf('0'), at: clock.now() }
    await mkdir(join(folder, 'done', doneNameOf(done)))
    const second = watch(world.again(), { keepDone: '1h', handle: nothing })
    const handled = second.next('done')
    await second.mailbox.start()
    await handled
    expect(await readdir(join(folder, 'aside'))).toHaveLength(1)
    await clock.advance(2 * HOUR)
    const later = second.next('done', ({ id }) => id === '2')
    expect(await second.mailbox.post('a', { id: '2', body: 0 })).toEqual({ duplicate: false })
    await later
    expect(await second.mailbox.post('a', { id: '3', body: 0 })).toEqual({ duplicate: false })
    expect(await readdir(join(folder, 'aside'))).toHaveLength(2)
    const warnings = of(world.events, 'warning').map(({ code }) => code)
    expect(warnings).toEqual(Array(2).fill('MAILBOX_FOREIGN_FILE'))
  })

  it('takes no number as its own that leaves no room for the next ones', async () => {
    const world = await setup()
    const first = watch(world.pool, { handle: nothing })
    await first.mailbox.post('a', { id: '1', body: 0 })
    await world.pool.close()
    const folder = join(world.dataDir, 'a', 'mailbox')
    const sequence = Number.MAX_SAFE_INTEGER
    await writeFile(join(folder, 'done', doneNameOf({ sequence, key: keyOf('0'), at: 0 })), '')
    const second = watch(world.again(), { handle: nothing })
    await second.mailbox.post('a', { id: '2', body: 0 })
    const names = await readdir(join(folder, 'new'))
    expect(names.map((name) => parseName(name)?.sequence).sort()).toEqual([1, 2])
  })

  it.each([
    ['a file', (path: string) => writeFile(path, '')],
    ['a link to nowhere', (path: string) => symlink('nowhere', path)],
  ])('finds a place for what it sets aside, also where %s has the name of that', async (_, plant) => {
    const world = await setup()
    const first = watch(world.pool, { handle: nothing })
    await first.mailbox.post('a', { id: '1', body: 0 })
    await world.pool.close()
    const folder = join(world.dataDir, 'a', 'mailbox')
    await plant(join(folder, 'aside'))
    await writeFile(join(folder, 'new', 'foreign'), '')
    const second = watch(world.again(), { handle: nothing })
    expect(await second.mailbox.post('a', { id: '2', body: 0 })).toEqual({ duplicate: false })
    expect(await readdir(join(folder, 'aside'))).toHaveLength(1)
    const moved = (await readdir(folder)).filter((name) => name.startsWith('aside.'))
    expect(moved).toHaveLength(1)
  })

  it('names what is wrong with it when a message cannot be stored', async () => {
    const { pool, again, dataDir } = await setup()
    await watch(pool, { handle: nothing }).mailbox.post('a', { id: '1', body: 0 })
    await pool.close()
    const path = join(dataDir, 'a', 'mailbox', 'failed')
    await rename(path, `${path}.away`)
    await writeFile(path, '')
    const { mailbox } = watch(again(), { handle: nothing })
    const error = await failure(mailbox.post('a', { id: '2', body: 0 }), 'NOT_STORED')
    expect(error.message).toContain(path)
    expect(error.message).not.toContain('room')
  })
})

describe('options', () => {
  it('are checked at once', async () => {
    const { pool } = await setup()
    const good = { pool, handle: nothing }
    const bad: object[] = [
      { pool: {} },
      { handle: 1 },
      { concurrency: 0 },
      { maxAttempts: 1.5 },
      { maxAttempts: 1000 },
      { maxDepth: -1 },
      { maxWaiting: Number.POSITIVE_INFINITY },
      { keepDone: 'ages' },
      { fromAgent: {} },
      { concurency: 1 },
    ]
    for (const change of bad) expect(() => new Mailbox({ ...good, ...change })).toThrow(/Option|left out/)
    const mailbox = new Mailbox({ ...good, concurrency: undefined })
    expect(() => new Mailbox(good)).toThrow('has a mailbox already')
    await mailbox.close()
    await new Mailbox(good).close()
  })
})
