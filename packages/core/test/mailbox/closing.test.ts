import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it, vi } from 'vitest'
import { testClock } from '../../src/testing/index.js'
import { passTimeUntil } from '../pass-time.js'
import { failure, of, setup } from '../pool/helpers.js'
import { deferred, ids, watch } from './helpers.js'

const nothing = async (): Promise<void> => {}

describe('closing a mailbox', () => {
  it('lets turns end within the drain time, and begins none', async () => {
    const { pool } = await setup()
    const begun = deferred()
    const hold = deferred()
    const { mailbox, seen } = watch(pool, {
      handle: () => {
        begun.resolve()
        return hold.promise
      },
    })
    await mailbox.start()
    for (const id of ['1', '2']) await mailbox.post('a', { id, body: 0 })
    await begun.promise
    const closed = mailbox.close({ drain: '1m' })
    await failure(mailbox.post('a', { id: '3', body: 0 }), 'POOL_CLOSED')
    await failure(mailbox.start(), 'POOL_CLOSED')
    await failure(mailbox.retryFailed(), 'POOL_CLOSED')
    hold.resolve()
    await closed
    expect(ids(seen, 'done')).toEqual(['1'])
    // The pool goes on, with another mailbox.
    const second = watch(pool, { handle: nothing })
    expect(await second.mailbox.start()).toEqual({ replayed: 1 })
  })

  it('aborts the rest, does not count their attempt, and gives up who does not listen', async () => {
    const clock = testClock()
    const { pool } = await setup({ clock })
    const begun = [deferred(), deferred()]
    const stubborn = deferred()
    const first = watch<string>(pool, {
      handle: async (turn) => {
        if (turn.tenant === 'stubborn') {
          begun[0]?.resolve()
          return stubborn.promise
        }
        await turn.box()
        begun[1]?.resolve()
        await new Promise((_, reject) =>
          turn.signal.addEventListener('abort', () => reject(turn.signal.reason)),
        )
      },
    })
    await first.mailbox.start()
    for (const tenant of ['stubborn', 'good']) await first.mailbox.post(tenant, { id: '1', body: '' })
    await Promise.all(begun.map(({ promise }) => promise))
    await passTimeUntil(first.mailbox.close({ drain: '10s' }), clock)
    expect(first.seen.filter(({ event }) => event !== 'posted')).toEqual([])
    expect(pool.stats().leased).toBe(0)
    const attempts = new Map<string, number>()
    const second = watch<string>(pool, {
      handle: async ({ tenant, attempt }) => void attempts.set(tenant, attempt),
    })
    const all = second.next('done', () => attempts.size === 2)
    expect(await second.mailbox.start()).toEqual({ replayed: 2 })
    // Whoever was given up may end whenever it likes.
    stubborn.resolve()
    await all
    expect(Object.fromEntries(attempts)).toEqual({ good: 1, stubborn: 2 })
    expect(clock.pending.filter(({ background }) => !background)).toEqual([])
  })

  it('wakes nobody any more, and a turn that waits for its box does not keep it waiting', async () => {
    const { pool, engine } = await setup()
    engine.faults.hold('start')
    const begun = deferred()
    const { mailbox, seen } = watch(pool, {
      handle: async (turn) => {
        begun.resolve()
        await turn.box()
      },
    })
    await mailbox.start()
    await mailbox.post('a', { id: '1', body: 0 })
    await begun.promise
    await mailbox.close({ drain: '1h' })
    expect(ids(seen, 'retry')).toEqual([])
    engine.faults.clear()
  })

  it('comes with closing its pool, before the lock is let go', async () => {
    const { pool, again } = await setup()
    const begun = deferred()
    const { mailbox, seen } = watch(pool, {
      handle: async (turn) => {
        const box = await turn.box()
        begun.resolve()
        await box.send('hello').text()
      },
    })
    await mailbox.start()
    await mailbox.post('a', { id: '1', body: 0 })
    await begun.promise
    const waiting = again({ lock: 'wait' })
    const next = watch(waiting, { handle: nothing })
    const started = next.mailbox.start()
    await pool.close()
    expect(ids(seen, 'done')).toEqual(['1'])
    await failure(mailbox.post('a', { id: '2', body: 0 }), 'POOL_CLOSED')
    await mailbox.close()
    expect(await started).toEqual({ replayed: 0 })
    expect(await next.mailbox.post('a', { id: '1', body: 0 })).toEqual({ duplicate: true })
  })

  it('of a pool that was never opened opens nothing', async () => {
    const { pool, dataDir } = await setup()
    const { mailbox } = watch(pool, { handle: nothing })
    await mailbox.close()
    expect(await readdir(dataDir)).toEqual([])
    await failure(mailbox.post('a', { id: '1', body: 0 }), 'POOL_CLOSED')
  })

  it('ends with `await using`, and keeps what waits', async () => {
    const { pool } = await setup()
    {
      await using mailbox = watch(pool, { handle: nothing }).mailbox
      await mailbox.post('a', { id: '1', body: 0 })
    }
    expect(await watch(pool, { handle: nothing }).mailbox.start()).toEqual({ replayed: 1 })
  })
})

describe('starting', () => {
  it('can be repeated once a failed pool can start, and is one for all callers', async () => {
    const { pool, again } = await setup()
    await pool.start()
    const { mailbox, next } = watch(again(), { handle: nothing })
    await failure(mailbox.start(), 'POOL_LOCKED')
    await failure(mailbox.post('a', { id: '1', body: 0 }), 'POOL_LOCKED')
    await pool.close()
    const [one, other] = await Promise.all([mailbox.start(), mailbox.start()])
    expect(one).toBe(other)
    const done = next('done')
    await mailbox.post('a', { id: '1', body: 0 })
    await done
  })
})

describe("removing a tenant with data: 'delete'", () => {
  it('ends the turn under way, and takes what waits along', async () => {
    const { pool, dataDir, events } = await setup()
    const begun = deferred()
    const { mailbox, seen, next } = watch<string>(pool, {
      handle: async (turn) => {
        if (turn.id !== '1') return
        begun.resolve()
        await new Promise((resolve) => turn.signal.addEventListener('abort', resolve))
      },
    })
    await mailbox.start()
    for (const id of ['1', '2']) await mailbox.post('a', { id, body: '' })
    await begun.promise
    await pool.remove('a', { data: 'delete', leases: 'abort' })
    // Ids are forgotten with the rest: the tenant may come anew.
    const done = next('done')
    expect(await mailbox.post('a', { id: '2', body: '' })).toEqual({ duplicate: false })
    expect((await done).id).toBe('2')
    expect(ids(seen, 'done')).toEqual(['2'])
    expect(await readdir(join(dataDir, 'a', 'mailbox', 'new'))).toEqual([])
    expect(of(events, 'warning')).toEqual([])
  })

  it('can be done by the handler itself', async () => {
    const { pool, dataDir } = await setup()
    const forgotten = deferred()
    const { mailbox, seen } = watch<string>(pool, {
      handle: async (turn) => {
        await turn.box()
        await pool.remove(turn.tenant, { data: 'delete', leases: 'abort' })
        expect(turn.signal.aborted).toBe(true)
        forgotten.resolve()
      },
    })
    await mailbox.start()
    await mailbox.post('a', { id: '1', body: '' })
    await forgotten.promise
    await mailbox.close()
    expect(ids(seen, 'done')).toEqual([])
    expect(await readdir(dataDir)).toEqual(['.tenantbox'])
  })

  it('meets posts at any moment: each is in the old folder or in the new', async () => {
    const { pool } = await setup()
    const handled: string[] = []
    const { mailbox, seen } = watch<string>(pool, { handle: async ({ id }) => void handled.push(id) })
    await mailbox.start()
    const posts: Promise<unknown>[] = []
    for (let round = 0; round < 10; round++) {
      for (let index = 0; index < 5; index++)
        posts.push(mailbox.post('a', { id: `${round}.${index}`, body: '' }))
      await pool.remove('a', { data: 'delete', leases: 'abort' })
    }
    await Promise.all(posts)
    await mailbox.post('a', { id: 'last', body: '' })
    await vi.waitFor(() => expect(handled).toContain('last'))
    expect(new Set(handled).size).toBe(handled.length)
    expect(ids(seen, 'failed')).toEqual([])
  })
})
