import { type DriverSubject, describeDriver, type TestContext } from '@tenantbox/core/testing'
import { describe, expect, it } from 'vitest'
import type { Driver } from '../../src/driver.js'
import { memorySubject } from './memory-subject.js'

describeDriver('memory', memorySubject, { describe, it })

/** Drivers that break the contract, each in one point. */
const DEFECTS: Readonly<Record<string, (driver: Driver) => Partial<Driver>>> = {
  'lists nothing': () => ({ list: async () => [] }),
  'lists boxes of all pools': (driver) => ({
    open: (pool) => driver.open({ ...pool, owner: 'one for all' }),
  }),
  'forgets the spec': (driver) => ({
    create: (identity, spec, options) => driver.create({ ...identity, spec: '' }, spec, options),
  }),
  'finds boxes that were set aside': (driver) => ({
    find: async (slug) => (await driver.list()).find(({ ref }) => ref.slug === slug),
  }),
  'sets nothing aside': () => ({ setAside: async () => undefined }),
  'stops a box that is started twice': (driver) => ({
    async start(ref, options) {
      await driver.stop(ref, { graceMs: 0 })
      return driver.start(ref, options)
    },
  }),
  'gives every life the same start': (driver) => ({
    start: (ref, options) => driver.start(ref, options).then(() => ({ startedAt: 1 })),
  }),
  'stops by force at once': (driver) => ({
    stop: (ref, options) => driver.stop(ref, { ...options, graceMs: 0 }),
  }),
  'does not pause': () => ({ pause: async () => undefined }),
  'throws when a box is gone already': (driver) => ({
    async remove(ref, options) {
      if (!(await driver.inspect(ref))) throw new Error('no such box')
      await driver.remove(ref, options)
    },
  }),
  'cannot start what is gone, and says so in its own words': (driver) => ({
    start: (ref, options) =>
      driver.start(ref, options).catch((cause) => {
        throw new Error('no such box', { cause })
      }),
  }),
  'does not tail logs': (driver) => ({
    logs: (ref, { follow, since } = {}) => driver.logs(ref, { follow, since }),
  }),
  'loses environment and folder of commands': (driver) => ({
    spawn: (ref, { command }, options) => driver.spawn(ref, { command }, options),
  }),
  'takes no notice of signals': (driver) => ({ inspect: (ref) => driver.inspect(ref) }),
  'takes its boxes along when it is closed': (driver) => ({
    async close() {
      for (const { ref } of await driver.list().catch(() => [])) await driver.remove(ref)
      await driver.close()
    },
  }),
}

describe('describeDriver', () => {
  for (const [defect, change] of Object.entries(DEFECTS))
    it(`finds a driver out that ${defect}`, async () => {
      expect(await firstFailure(change)).toBeInstanceOf(Error)
    })
})

/** What the suite says first of a memory driver with this change. */
async function firstFailure(change: (driver: Driver) => Partial<Driver>): Promise<unknown> {
  const changed = (driver: Driver): Driver => {
    const changes = change(driver)
    return new Proxy(driver, {
      get(target, name) {
        const own: unknown = Reflect.get(changes, name) ?? Reflect.get(target, name, target)
        return typeof own === 'function' ? own.bind(target) : own
      },
    })
  }
  const make = async (): Promise<DriverSubject> => {
    const subject = await memorySubject()
    return { ...subject, driver: changed(subject.driver), another: () => changed(subject.another()) }
  }
  const tests: ((context: TestContext) => Promise<void>)[] = []
  describeDriver('defective', make, { describe: (_, body) => body(), it: (_, body) => tests.push(body) })
  for (const test of tests) {
    try {
      await test({ skip: () => undefined })
    } catch (error) {
      return error
    }
  }
  return undefined
}
