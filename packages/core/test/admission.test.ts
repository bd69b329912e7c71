import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { Admission, chooseVictims, type Occupant } from '../src/admission.js'
import type { Tenant } from '../src/tenant.js'
import { testClock } from '../src/testing/index.js'

const occupant = fc.record({
  state: fc.constantFrom('running', 'paused', 'starting', 'stopping', 'pausing', 'resuming'),
  wanted: fc.boolean(),
  lastActive: fc.integer({ min: -100, max: 100 }),
  flight: fc.constantFrom(undefined, {}),
  gate: fc.constantFrom(undefined, {}),
  uptime: fc.integer({ min: 0, max: 20 }),
}) as fc.Arbitrary<Occupant>

describe('chooseVictims', () => {
  it('takes the least recently active of those it may, and tells when the next may be taken', () => {
    fc.assert(
      fc.property(fc.array(occupant, { maxLength: 12 }), fc.nat(5), (holders, count) => {
        const except = new Set(holders.slice(0, 1))
        const { victims, retryIn } = chooseVictims(holders, except, count, 10)
        const may = holders.filter(
          (one) =>
            !except.has(one) &&
            !one.wanted &&
            !one.flight &&
            !one.gate &&
            (one.state === 'running' || one.state === 'paused'),
        )
        const old = may.filter((one) => one.uptime >= 10)
        expect(victims.length).toBe(Math.min(count, old.length))
        for (const victim of victims) {
          expect(old).toContain(victim)
          for (const spared of old)
            if (!victims.includes(spared)) expect(spared.lastActive).toBeGreaterThanOrEqual(victim.lastActive)
        }
        const young = may.filter((one) => one.uptime < 10).map((one) => 10 - one.uptime)
        expect(retryIn).toBe(young.length ? Math.min(...young) : undefined)
      }),
    )
  })
})

describe('Admission', () => {
  it('looks for nobody to evict on account of a tenant that holds nothing, however many wait', async () => {
    let looks = 0
    const clock = testClock()
    const capacity = { maxRunning: 1, maxStarting: 1, maxQueued: 10, queueTimeout: 1_000, minUptime: 0 }
    const evict = async (): Promise<'kept'> => 'kept'
    const admission = new Admission({ clock, capacity, evict, queued: () => undefined })
    const tenant = (state: Tenant['state']) =>
      ({
        state,
        get wanted() {
          looks++
          return true
        },
        flight: state === 'absent' ? {} : undefined,
      }) as Tenant
    await admission.admit(tenant('running'), new AbortController().signal)
    const waiting = expect(
      admission.admit(tenant('absent'), new AbortController().signal),
    ).rejects.toMatchObject({ code: 'QUEUE_TIMEOUT' })
    const before = looks
    for (let i = 0; i < 100; i++) admission.settle(tenant('stopped'))
    expect(looks).toBe(before)
    admission.settle(tenant('running'))
    expect(looks).toBeGreaterThan(before)
    await clock.advance(1_000)
    await waiting
  })
})
