import { testClock } from '@tenantbox/core/testing'
import { describe, expect, it } from 'vitest'

describe('testClock', () => {
  it('fires what is due in order, each at its own time', async () => {
    const clock = testClock(1_000)
    const fired: [string, number][] = []
    const note = (name: string) => () => void fired.push([name, clock.now()])
    clock.after(20, note('second'))
    clock.after(10, note('first'))
    clock.after(20, note('third'))
    clock.after(21, note('not yet'))
    await clock.advance(20)
    expect(fired).toEqual([
      ['first', 1_010],
      ['second', 1_020],
      ['third', 1_020],
    ])
  })

  it('gives what a timer sets off its turn before the next timer', async () => {
    const clock = testClock()
    const order: string[] = []
    clock.after(1, () => {
      void Promise.resolve()
        .then(() => Promise.resolve())
        .then(() => order.push('work of 1'))
    })
    clock.after(2, () => order.push('timer 2'))
    await clock.advance(2)
    expect(order).toEqual(['work of 1', 'timer 2'])
  })

  it('fires timers that were set on the way, if they are due by then', async () => {
    const clock = testClock()
    const at: number[] = []
    const again = (): void => {
      at.push(clock.monotonic())
      clock.after(10, again)
    }
    clock.after(10, again)
    await clock.advance(35)
    expect(at).toEqual([10, 20, 30])
    expect(clock.monotonic()).toBe(35)
  })

  it('lets the wall clock jump without moving anything else', async () => {
    const clock = testClock(1_000)
    let fired = 0
    clock.after(10, () => fired++)
    clock.set(500)
    await clock.advance(0)
    expect([clock.now(), clock.monotonic(), fired]).toEqual([500, 0, 0])
    await clock.advance(10)
    expect([clock.now(), clock.monotonic(), fired]).toEqual([510, 10, 1])
  })

  it('tells which timers are left', async () => {
    const clock = testClock()
    const cancel = clock.after(30, () => undefined, { background: true })
    clock.after(20, () => undefined)
    await clock.advance(5)
    expect(clock.pending).toEqual([
      { in: 15, background: false },
      { in: 25, background: true },
    ])
    cancel()
    await clock.advance(15)
    expect(clock.pending).toEqual([])
  })
})
