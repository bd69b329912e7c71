import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { dueTier, type IdleEntry, IdleQueue, nextTierAfter } from '../src/idle.js'
import type { ResolvedIdle } from '../src/options.js'

const idle = (pauseAfter?: number, stopAfter?: number, removeAfter?: number): ResolvedIdle => ({
  pauseAfter,
  stopAfter,
  removeAfter,
  veto: undefined,
})

describe('tiers', () => {
  it('names the next one by state', () => {
    const all = idle(5, 30, 100)
    expect(nextTierAfter('running', all)).toBe(5)
    expect(nextTierAfter('paused', all)).toBe(30)
    expect(nextTierAfter('stopped', all)).toBe(100)
    expect(nextTierAfter('absent', all)).toBeUndefined()
    expect(nextTierAfter('starting', all)).toBeUndefined()
    expect(nextTierAfter('running', idle(undefined, 30))).toBe(30)
    expect(nextTierAfter('running', idle())).toBeUndefined()
  })

  it('goes straight to the deepest that is due', () => {
    const all = idle(5, 30, 100)
    expect(dueTier('running', 4.9, all)).toBeUndefined()
    expect(dueTier('running', 5, all)).toBe('pause')
    expect(dueTier('running', 30, all)).toBe('stop')
    expect(dueTier('paused', 29, all)).toBeUndefined()
    expect(dueTier('paused', 200, all)).toBe('remove')
    expect(dueTier('stopped', 99, all)).toBeUndefined()
    expect(dueTier('stopped', 100, all)).toBe('remove')
  })
})

interface Entry extends IdleEntry {
  readonly name: number
  after: number | undefined
}

describe('IdleQueue', () => {
  const actions = fc.array(
    fc.record({
      name: fc.nat(5),
      act: fc.constantFrom('add', 'touch', 'delete', 'take') as fc.Arbitrary<
        'add' | 'touch' | 'delete' | 'take'
      >,
      after: fc.constantFrom(5, 10, 30),
      pass: fc.nat(8),
    }),
    { maxLength: 60 },
  )

  it('agrees with looking at everybody, whatever happens', () => {
    fc.assert(
      fc.property(actions, (steps) => {
        const queue = new IdleQueue<Entry>()
        const entries: Entry[] = Array.from({ length: 6 }, (_, name) => ({
          name,
          after: undefined,
          lastActive: -name,
          idleLink: undefined,
        }))
        let now = 0
        for (const { name, act, after, pass } of steps) {
          now += pass
          const entry = entries[name] as Entry
          if (act === 'add') {
            queue.add(entry, after)
            entry.after = after
          } else if (act === 'touch') queue.touch(entry, now)
          else if (act === 'delete') {
            queue.delete(entry)
            entry.after = undefined
          } else {
            const due = entries.filter(({ after: a, lastActive }) => a !== undefined && lastActive + a <= now)
            const taken = queue.takeDue(now)
            expect(new Set(taken)).toEqual(new Set(due))
            expect(taken.length).toBe(due.length)
            for (const one of due) one.after = undefined
          }
          const deadlines = entries.flatMap(({ after: a, lastActive }) =>
            a === undefined ? [] : [lastActive + a],
          )
          expect(queue.nextDeadline()).toBe(deadlines.length ? Math.min(...deadlines) : undefined)
        }
      }),
      { numRuns: 500 },
    )
  })

  it('looks only at the first of each duration, and at those who are due', () => {
    const looked = new Set<number>()
    const entry = (name: number, lastActive: number): IdleEntry => ({
      get lastActive() {
        looked.add(name)
        return lastActive
      },
      set lastActive(at) {
        lastActive = at
      },
      idleLink: undefined,
    })
    const queue = new IdleQueue()
    for (let name = 0; name < 100_000; name++)
      queue.add(entry(name, name), name % 2 === 0 ? 100_000 : 200_000)
    looked.clear()
    expect(queue.takeDue(99_999)).toEqual([])
    expect(queue.nextDeadline()).toBe(100_000)
    expect([...looked]).toEqual([0, 1])
    expect(queue.takeDue(100_002)).toHaveLength(2)
    expect([...looked]).toEqual([0, 1, 2, 4])
  })
})
