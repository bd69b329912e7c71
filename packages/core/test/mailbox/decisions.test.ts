import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { TenantBoxError } from '../../src/index.js'
import { Ledger } from '../../src/mailbox/ledger.js'
import { readListing } from '../../src/mailbox/listing.js'
import {
  doneNameOf,
  keyOf,
  MOST_ATTEMPTS,
  MOST_SEQUENCE,
  nameOf,
  parseDoneName,
  parseName,
} from '../../src/mailbox/message-name.js'
import { TurnOrder } from '../../src/mailbox/turn-order.js'
import { backoff, judge } from '../../src/mailbox/verdict.js'

const key = fc.string().map(keyOf)
const sequence = fc.nat({ max: MOST_SEQUENCE })
const entry = fc.record({ sequence, key, attempts: fc.nat({ max: MOST_ATTEMPTS }) })

describe('names', () => {
  it('tell all that was put into them, are equally long, and sort by the sequence', () => {
    fc.assert(
      fc.property(entry, entry, fc.nat(), (one, other, at) => {
        expect(parseName(nameOf(one))).toEqual(one)
        const done = { sequence: one.sequence, key: one.key, at }
        expect(parseDoneName(doneNameOf(done))).toEqual(done)
        expect(parseName(doneNameOf(done))).toBeUndefined()
        expect(nameOf(one)).toHaveLength(nameOf(other).length)
        if (one.sequence < other.sequence) expect(nameOf(one) < nameOf(other)).toBe(true)
      }),
    )
  })

  it('are nothing else', () => {
    for (const name of [
      '',
      'x',
      '1.2.3',
      `${'9'.repeat(16)}.${keyOf('a')}.000`,
      `.${nameOf({ sequence: 1, key: keyOf('a'), attempts: 0 })}`,
    ])
      expect(parseName(name)).toBeUndefined()
  })
})

describe('a listing', () => {
  const [a, b] = [keyOf('a'), keyOf('b')]

  it('takes what was handled for handled, and the higher count of attempts for the newer', () => {
    const waiting = { sequence: 2, key: b, attempts: 3 }
    const listing = readListing({
      new: [{ sequence: 1, key: a, attempts: 1 }, { ...waiting, attempts: 2 }, waiting].map(nameOf),
      failed: [nameOf(waiting), 'x'],
      done: [doneNameOf({ sequence: 1, key: a, at: 5 })],
    })
    expect(listing.waiting).toEqual([waiting])
    expect(listing.failed).toEqual([])
    expect(listing.done).toEqual([{ sequence: 1, key: a, at: 5 }])
    expect(listing.foreign).toEqual([{ folder: 'failed', name: 'x' }])
    expect(listing.leftover.map(({ folder }) => folder).sort()).toEqual(['failed', 'new', 'new'])
  })

  it('takes two messages with one number for two messages', () => {
    const [one, other] = [
      { sequence: 1, key: a, attempts: 0 },
      { sequence: 1, key: b, attempts: 3 },
    ]
    const done = { sequence: 1, key: keyOf('c'), at: 5 }
    const listing = readListing({ new: [one, other].map(nameOf), failed: [], done: [doneNameOf(done)] })
    expect(listing.leftover).toEqual([])
    expect(listing.waiting).toHaveLength(2)
    const ledger = new Ledger(listing, 10)
    ledger.replace({ ...one, attempts: 1 })
    expect(ledger.find(other)).toEqual(other)
    ledger.drop(other)
    expect(ledger.find(one)).toEqual({ ...one, attempts: 1 })
    expect(ledger.waiting).toBe(1)
  })

  it('puts everything in its order, whatever order the disk lists it in', () => {
    fc.assert(
      fc.property(fc.uniqueArray(entry, { selector: (one) => one.sequence }), (entries) => {
        const { waiting } = readListing({ new: entries.map(nameOf), failed: [], done: [] })
        expect(waiting).toEqual(entries.toSorted((one, other) => one.sequence - other.sequence))
      }),
    )
  })
})

describe('turns', () => {
  it('go round, never two of one at once, never more than allowed', () => {
    const act = fc.oneof(
      fc.record({ act: fc.constant('enter' as const), who: fc.nat({ max: 5 }) }),
      fc.record({ act: fc.constant('begin' as const), who: fc.constant(0) }),
      fc.record({ act: fc.constant('end' as const), who: fc.nat({ max: 5 }) }),
    )
    fc.assert(
      fc.property(fc.array(act), fc.integer({ min: 1, max: 3 }), (acts, atOnce) => {
        const order = new TurnOrder<number>(atOnce)
        let waiting: number[] = []
        const running = new Set<number>()
        for (const { act, who } of acts) {
          if (act === 'enter') {
            order.enter(who)
            if (!running.has(who) && !waiting.includes(who)) waiting.push(who)
          } else if (act === 'end') {
            order.end(who)
            running.delete(who)
          } else {
            const next = order.begin()
            expect(next).toBe(running.size < atOnce ? waiting[0] : undefined)
            if (next === undefined) continue
            waiting = waiting.slice(1)
            running.add(next)
          }
          expect(order.has(who)).toBe(waiting.includes(who) || running.has(who))
        }
      }),
    )
  })
})

describe('a verdict', () => {
  const failure = { error: new Error('x'), attempt: 1, maxAttempts: 3, hadBox: false, refusals: 0 }
  const queueTimeout = new TenantBoxError('QUEUE_TIMEOUT', 'x', { waitedMs: 1, queued: 1 })

  it('lets a message fail with its last attempt that counts', () => {
    expect(judge(failure, 0)).toEqual({ kind: 'retry', retryIn: 1_000, counts: true })
    expect(judge({ ...failure, attempt: 2 }, 1)).toEqual({ kind: 'retry', retryIn: 2_000, counts: true })
    expect(judge({ ...failure, attempt: 3 }, 0)).toEqual({ kind: 'fail' })
    expect(judge({ ...failure, attempt: 3, error: queueTimeout, refusals: 9 }, 0)).toEqual({
      kind: 'retry',
      retryIn: 300_000,
      counts: false,
    })
    expect(judge({ ...failure, attempt: 3, error: queueTimeout, hadBox: true }, 0)).toEqual({ kind: 'fail' })
  })

  it('does not count what a service is to blame for, and waits as long as that says', () => {
    const away = (retryAfter: number) =>
      new TenantBoxError('SERVICE_UNAVAILABLE', 'x', { service: 'Slack' }, { retryAfter })
    const last = { ...failure, attempt: 3, hadBox: true, refusals: 1 }
    expect(judge({ ...last, error: away(0) }, 0)).toEqual({ kind: 'retry', retryIn: 4_000, counts: false })
    expect(judge({ ...last, error: away(9_000) }, 0)).toEqual({
      kind: 'retry',
      retryIn: 9_000,
      counts: false,
    })
  })

  it('waits longer each time, and never longer than five minutes', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 1_000 }),
        fc.double({ min: 0, max: 1, noNaN: true }),
        (failures, random) => {
          const ms = backoff(failures, random)
          expect(ms).toBeGreaterThanOrEqual(500)
          expect(ms).toBeLessThanOrEqual(300_000)
          expect(backoff(failures + 1, random)).toBeGreaterThanOrEqual(ms)
        },
      ),
    )
  })
})
