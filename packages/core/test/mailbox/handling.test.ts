import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { TenantBoxError } from '../../src/index.js'
import { testClock } from '../../src/testing/index.js'
import { passTimeUntil } from '../pass-time.js'
import { setup } from '../pool/helpers.js'
import { deferred, ids, watch } from './helpers.js'

const MINUTE = 60_000

describe('a message that fails', () => {
  it('is tried again after growing pauses, keeps the next ones waiting, and is parked in the end', async () => {
    const clock = testClock()
    const { pool, dataDir } = await setup({ clock })
    const tries: string[] = []
    const { mailbox, seen, next } = watch<string>(pool, {
      maxAttempts: 3,
      handle: async ({ id, attempt }) => {
        tries.push(`${id}.${attempt}`)
        if (id === 'bad') throw new Error('on purpose')
      },
    })
    await mailbox.start()
    const failed = next('failed')
    const done = next('done')
    for (const id of ['bad', 'good']) await mailbox.post('a', { id, body: '' })
    await passTimeUntil(failed, clock)
    expect(await failed).toMatchObject({
      tenant: 'a',
      id: 'bad',
      attempts: 3,
      cause: new Error('on purpose'),
    })
    await done
    expect(tries).toEqual(['bad.1', 'bad.2', 'bad.3', 'good.1'])
    const pauses = seen.flatMap((one) => (one.event === 'retry' ? [one.payload.retryIn] : []))
    expect(pauses).toHaveLength(2)
    expect(pauses[0]).toBeGreaterThanOrEqual(500)
    expect(pauses[0]).toBeLessThanOrEqual(1_000)
    expect(pauses[1]).toBeGreaterThanOrEqual(2_000)
    expect(await readdir(join(dataDir, 'a', 'mailbox', 'failed'))).toHaveLength(1)
  })

  it('can be tried again, before what came later, and is known meanwhile', async () => {
    const { pool } = await setup()
    let broken = true
    const hold = deferred()
    const { mailbox, seen, next } = watch<string>(pool, {
      maxAttempts: 1,
      handle: async ({ id }) => {
        if (id === 'first' && broken) throw new Error('on purpose')
        if (id === 'second') await hold.promise
      },
    })
    await mailbox.start()
    const failed = next('failed')
    await mailbox.post('a', { id: 'first', body: '' })
    await failed
    for (const id of ['second', 'third']) await mailbox.post('a', { id, body: '' })
    expect(await mailbox.post('a', { id: 'first', body: '' })).toEqual({ duplicate: true })
    broken = false
    expect(await mailbox.retryFailed('b')).toBe(0)
    expect(await mailbox.retryFailed()).toBe(1)
    expect(await mailbox.retryFailed()).toBe(0)
    const last = next('done', ({ id }) => id === 'third')
    hold.resolve()
    await last
    expect(ids(seen, 'done')).toEqual(['second', 'first', 'third'])
  })

  it('waits as long as an error says', async () => {
    const clock = testClock()
    const { pool } = await setup({ clock })
    const { mailbox, next } = watch<string>(pool, {
      handle: async ({ attempt }) => {
        if (attempt > 1) return
        throw new TenantBoxError(
          'AGENT_FAILED',
          'flood',
          { sent: true, partial: false },
          { retryAfter: MINUTE },
        )
      },
    })
    await mailbox.start()
    const retry = next('retry')
    const done = next('done')
    await mailbox.post('a', { id: '1', body: '' })
    expect((await retry).retryIn).toBe(MINUTE)
    const began = clock.monotonic()
    await passTimeUntil(done, clock)
    expect(clock.monotonic() - began).toBeGreaterThanOrEqual(MINUTE)
  })

  it('does not use up its attempts while there is no box to be had', async () => {
    const clock = testClock()
    const { pool } = await setup({
      clock,
      capacity: { maxRunning: 1, queueTimeout: '1s', minUptime: '1h' },
    })
    await pool.lease('hog')
    const attempts: number[] = []
    const { mailbox, seen, next } = watch<string>(pool, {
      maxAttempts: 2,
      handle: async (turn) => {
        attempts.push(turn.attempt)
        if (attempts.length <= 6) await turn.box()
      },
    })
    await mailbox.start()
    const done = next('done')
    await mailbox.post('a', { id: '1', body: '' })
    await passTimeUntil(done, clock)
    expect(attempts).toEqual(Array(7).fill(1))
    const causes = seen.flatMap((one) => (one.event === 'retry' ? [one.payload.cause] : []))
    expect(causes).toEqual(Array(6).fill(expect.objectContaining({ code: 'QUEUE_TIMEOUT' })))
  })

  it('is parked when its last attempt has ended the process', async () => {
    const { pool, again } = await setup()
    const begun = deferred()
    const first = watch<string>(pool, {
      maxAttempts: 1,
      handle: () => {
        begun.resolve()
        return new Promise(() => undefined)
      },
    })
    await first.mailbox.start()
    await first.mailbox.post('a', { id: 'deadly', body: '' })
    await first.mailbox.post('a', { id: 'harmless', body: '' })
    await begun.promise
    // As after a crash: the attempt counts, and nothing was heard of it.
    await pool.close({ drain: 0 })
    const second = watch<string>(again(), { maxAttempts: 1, handle: async () => {} })
    const done = second.next('done')
    await second.mailbox.start()
    await done
    expect(ids(second.seen, 'failed')).toEqual(['deadly'])
    expect(ids(second.seen, 'done')).toEqual(['harmless'])
  })
})

describe('turns', () => {
  it('are one at a time for a tenant, so many at once for all, and go round', async () => {
    const { pool } = await setup()
    const order: string[] = []
    let running = 0
    let most = 0
    const hold = deferred()
    const { mailbox, seen, next } = watch<string>(pool, {
      concurrency: 2,
      handle: async ({ tenant }) => {
        order.push(tenant)
        most = Math.max(most, ++running)
        await hold.promise
        running--
      },
    })
    await mailbox.start()
    for (let index = 0; index < 5; index++) await mailbox.post('busy', { id: `${index}`, body: '' })
    for (const tenant of ['b', 'c', 'd']) await mailbox.post(tenant, { id: tenant, body: '' })
    const last = next('done', () => ids(seen, 'done').length === 8)
    hold.resolve()
    await last
    expect(most).toBe(2)
    // Whoever has many waiting does not keep the others waiting for all of them.
    expect(order.lastIndexOf('d')).toBeLessThan(order.lastIndexOf('busy') - 2)
  })

  it('wake nobody unless asked, and let go of the box at their end', async () => {
    const { pool, engine } = await setup()
    const { mailbox, next } = watch<boolean>(pool, {
      handle: async (turn) => {
        if (!turn.body) return
        const [one, other] = await Promise.all([turn.box(), turn.box()])
        expect(one.state).toBe('running')
        expect(other.generation).toBe(one.generation)
        expect(pool.get('a')?.leases).toBe(1)
      },
    })
    await mailbox.start()
    const quiet = next('done')
    await mailbox.post('a', { id: '1', body: false })
    await quiet
    expect(engine.calls('create')).toBe(0)
    const done = next('done')
    await mailbox.post('a', { id: '2', body: true })
    await done
    expect(engine.calls('create')).toBe(1)
    expect(pool.get('a')?.leases).toBe(0)
  })

  it('hear when their lease ends', async () => {
    const { pool } = await setup()
    const had = deferred()
    const { mailbox, next } = watch<string>(pool, {
      maxAttempts: 1,
      handle: async (turn) => {
        await turn.box()
        had.resolve()
        await new Promise((_, reject) =>
          turn.signal.addEventListener('abort', () => reject(turn.signal.reason)),
        )
      },
    })
    await mailbox.start()
    const failed = next('failed')
    await mailbox.post('a', { id: '1', body: '' })
    await had.promise
    await pool.stop('a', { leases: 'abort' })
    expect((await failed).cause).toMatchObject({ code: 'STALE_BOX' })
  })

  it('cannot ask for a box when they are over', async () => {
    const { pool } = await setup()
    let late: Promise<unknown> | undefined
    const { mailbox, next } = watch<string>(pool, {
      handle: async (turn) => {
        late = new Promise((resolve) => setImmediate(resolve)).then(() => turn.box())
        late.catch(() => undefined)
      },
    })
    await mailbox.start()
    const done = next('done')
    await mailbox.post('a', { id: '1', body: '' })
    await done
    await expect(late).rejects.toThrow('over')
  })
})
