import { describe, expect, it } from 'vitest'
import { HeldLease } from '../src/lease.js'
import { testClock } from '../src/testing/index.js'

function leaseOn(clock = testClock()) {
  const life = { tenantId: 'a', generation: 1, leases: new Set<unknown>() }
  return {
    clock,
    life,
    lease: new HeldLease(life, 'use', { clock, leaseMs: 60_000, leaseEnded: () => undefined }),
  }
}

describe('a lease', () => {
  it('lets go of its timers and of its caller’s signal when it ends', () => {
    const { clock, life, lease } = leaseOn()
    const caller = new AbortController()
    lease.follow({ signal: caller.signal, timeout: 1_000 }, 'use')
    expect(clock.pending).toHaveLength(2)
    lease.release()
    caller.abort()
    expect(clock.pending).toEqual([])
    expect(life.leases.size).toBe(0)
    expect(lease.signal.aborted).toBe(false)
  })

  it('that has ended before it is followed leaves no timer', () => {
    const { clock, lease } = leaseOn()
    lease.end('died', new Error('the box died'))
    lease.follow({ signal: undefined, timeout: 1_000 }, 'use')
    expect(clock.pending).toEqual([])
  })
})
