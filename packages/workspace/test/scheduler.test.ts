import { existsSync, mkdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setImmediate } from 'node:timers/promises'
import { describe, expect, onTestFinished, test } from 'vitest'
import { type Due, type Problem, Scheduler, type SchedulerOptions, Workspace } from '../src/index.js'
import { temporaryFolder } from './support/folder.js'
import { TestClock } from './support/test-clock.js'

const START = '2026-05-01T12:00:00Z'
const HOUR = 3_600_000
const base = { text: 'x', enabled: true, createdAt: START }

/** A scheduler over some tenants, with what it hands over. */
function setup(tenants: readonly string[] = ['anna'], options: Partial<SchedulerOptions> = {}) {
  const root = temporaryFolder()
  const clock = new TestClock(START)
  const dues: Due[] = []
  const problems: (Problem & { tenant: string })[] = []
  const dir = (tenant: string) => join(root, tenant)
  for (const tenant of tenants) mkdirSync(dir(tenant))

  const make = (more: Partial<SchedulerOptions> = {}): Scheduler => {
    const scheduler = new Scheduler({
      stateDir: join(root, '.state'),
      tenants: () => tenants.map((tenant) => ({ tenant, dir: dir(tenant) })),
      clock,
      onProblem: (problem) => problems.push(problem),
      ...options,
      ...more,
      onDue: async (due) => {
        await (more.onDue ?? options.onDue)?.(due)
        dues.push(due)
      },
    })
    onTestFinished(() => scheduler.close())
    return scheduler
  }
  return {
    root,
    clock,
    dues,
    problems,
    dir,
    make,
    ids: () => dues.map(({ id }) => id),
    write: (schedules: readonly object[], tenant = 'anna') =>
      writeFileSync(join(dir(tenant), 'SCHEDULES.json'), JSON.stringify({ version: 1, schedules })),
    /** Lets what is due now happen until so many have been handed over in all. */
    handedOver: async (count: number): Promise<void> => {
      for (; dues.length < count; clock.advance(0)) await setImmediate()
    },
    /** Lets time pass, and everything come to its end that is due by then. */
    pass: async (scheduler: Scheduler, ms: number): Promise<void> => {
      await scheduler.idle()
      for (clock.advance(ms); ; clock.advance(0)) {
        await scheduler.idle()
        if (!clock.isDue) return
      }
    },
  }
}

describe('handing over', () => {
  test('each due once, in time, oldest first', async () => {
    const { clock, make, write, ids, dues, pass } = setup()
    write([
      { ...base, id: 'a', every: '1h', payload: { n: 1 } },
      { ...base, id: 'b', at: '2026-05-01T12:30:00Z' },
      { ...base, id: 'off', every: '1m', enabled: false },
    ])
    const scheduler = make()
    await scheduler.start()
    await pass(scheduler, 30 * 60_000 - 1)
    expect(dues).toEqual([])
    await pass(scheduler, 1)
    await pass(scheduler, 30 * 60_000)
    await pass(scheduler, HOUR)
    expect(ids()).toEqual([
      'b@2026-05-01T12:30:00.000Z',
      'a@2026-05-01T13:00:00.000Z',
      'a@2026-05-01T14:00:00.000Z',
    ])
    expect(dues[1]).toEqual({
      id: 'a@2026-05-01T13:00:00.000Z',
      tenant: 'anna',
      dueAt: '2026-05-01T13:00:00.000Z',
      missed: 0,
      schedule: { ...base, id: 'a', every: '1h', payload: { n: 1 } },
    })
    await scheduler.close()
    expect(clock.pending).toBe(0)
  })

  test('one that fails is tried again, later and later, and holds up its own tenant only', async () => {
    let failing = true
    const attempts: string[] = []
    const { make, write, ids, problems, pass } = setup(['anna', 'berta'], {
      onDue: async ({ tenant, id }) => {
        if (tenant !== 'anna') return
        attempts.push(id)
        if (failing) throw new Error('engine away')
      },
    })
    write([
      { ...base, id: 'a', at: '2026-05-01T12:01:00Z' },
      { ...base, id: 'later', at: '2026-05-01T12:02:00Z' },
    ])
    write([{ ...base, id: 'b', every: '1m' }], 'berta')
    const scheduler = make()
    await scheduler.start()
    await pass(scheduler, 60_000)
    await scheduler.idle()
    for (const delay of [1000, 2000, 4000]) {
      const before = attempts.length
      await pass(scheduler, delay - 1)
      expect(attempts).toHaveLength(before)
      await pass(scheduler, 1)
      expect(attempts).toHaveLength(before + 1)
    }
    expect(problems.map(({ tenant }) => tenant)).toEqual(['anna', 'anna', 'anna', 'anna'])
    failing = false
    await pass(scheduler, 5 * 60_000)
    expect(ids().filter((id) => !id.startsWith('b@'))).toEqual([
      'a@2026-05-01T12:01:00.000Z',
      'later@2026-05-01T12:02:00.000Z',
    ])
  })

  test('one that never ends does not stop other tenants, and close waits for it', async () => {
    let release = (): void => {}
    const { clock, make, write, handedOver, ids } = setup(['anna', 'berta'], {
      onDue: ({ tenant }) =>
        tenant === 'anna'
          ? new Promise<void>((resolve) => {
              release = resolve
            })
          : Promise.resolve(),
    })
    write([{ ...base, id: 'a', every: '1m' }])
    write([{ ...base, id: 'b', every: '1m' }], 'berta')
    const scheduler = make()
    await scheduler.start()
    for (let minute = 1; minute <= 3; minute++) {
      clock.advance(60_000)
      await handedOver(minute)
    }
    const closing = scheduler.close()
    release()
    await closing
    expect(ids()).toEqual([
      'b@2026-05-01T12:01:00.000Z',
      'b@2026-05-01T12:02:00.000Z',
      'b@2026-05-01T12:03:00.000Z',
      'a@2026-05-01T12:01:00.000Z',
    ])
  })
})

describe('a restart', () => {
  test('between claim and hand-over: the same due comes again, with the same key, even if it is gone from the file', async () => {
    const { clock, make, write, ids, root, pass } = setup()
    write([{ ...base, id: 'a', at: '2026-05-01T12:01:00Z' }])
    let claimed = (): void => {}
    const reached = new Promise<void>((resolve) => {
      claimed = resolve
    })
    const crashed = make({
      // As if the process ended here: it neither resolves nor rejects before the next one has begun.
      onDue: () =>
        new Promise((_resolve, reject) => {
          claimed()
          onTestFinished(() => reject(new Error('the end')))
        }),
    })
    await crashed.start()
    clock.advance(60_000)
    await reached
    expect(readFileSync(join(root, '.state/journal.jsonl'), 'utf8')).toContain('"type":"claim"')
    write([])
    clock.advance(HOUR)
    const next = make()
    await next.start()
    await pass(next, 0)
    await next.idle()
    await next.close()
    const last = make()
    await last.start()
    await pass(last, HOUR)
    expect(ids()).toEqual(['a@2026-05-01T12:01:00.000Z'])
  })

  test('after it was handed over: it does not come again, also when the confirmation was torn off', async () => {
    const { make, write, ids, root, pass } = setup()
    write([{ ...base, id: 'a', at: '2026-05-01T12:01:00Z' }])
    const first = make()
    await first.start()
    await pass(first, 60_000)
    await first.close()
    const second = make()
    await second.start()
    await pass(second, HOUR)
    await second.close()
    expect(ids()).toEqual(['a@2026-05-01T12:01:00.000Z'])

    write([{ ...base, id: 'b', at: '2026-05-01T14:00:00Z' }])
    const third = make()
    await third.start()
    await pass(third, HOUR)
    await third.close()
    const journal = join(root, '.state/journal.jsonl')
    const text = readFileSync(journal, 'utf8')
    truncateSync(journal, text.lastIndexOf('{"type":"done"') + 5)
    const fourth = make()
    await fourth.start()
    await pass(fourth, 0)
    // At least once, and the key tells that it is the same.
    expect(ids().slice(1)).toEqual(['b@2026-05-01T14:00:00.000Z', 'b@2026-05-01T14:00:00.000Z'])
  })

  test('a second scheduler on the same state takes over; the first stops and says so', async () => {
    const { clock, make, write, problems, ids, handedOver } = setup()
    write([{ ...base, id: 'a', every: '1h' }])
    const first = make()
    await first.start()
    const second = make()
    await second.start()
    clock.advance(HOUR)
    await handedOver(1)
    await Promise.all([first.idle(), second.idle()])
    clock.advance(HOUR)
    await handedOver(2)
    await Promise.all([first.idle(), second.idle()])
    expect(ids()).toEqual(['a@2026-05-01T13:00:00.000Z', 'a@2026-05-01T14:00:00.000Z'])
    expect(problems.map(({ message }) => message).join()).toContain('taken over')
  })
})

describe('24 hours of outage', () => {
  test.each([
    ['latest', ['12:30'], [23]],
    ['all', ['10:30', '11:30', '12:30'], [21, 0, 0]],
    ['skip', [], []],
  ] as const)('with misfire %s', async (misfire, times, missed) => {
    const { clock, make, write, dues, pass } = setup(['anna'], { misfire, catchUpLimit: 3 })
    write([{ ...base, id: 'a', every: '1h', from: '2026-05-01T12:30:00Z' }])
    const before = make()
    await before.start()
    await pass(before, 45 * 60_000)
    await before.close()
    clock.set('2026-05-02T12:45:00Z')
    const after = make()
    await after.start()
    await pass(after, 0)
    await after.idle()
    expect(dues.slice(1).map(({ dueAt }) => dueAt)).toEqual(times.map((time) => `2026-05-02T${time}:00.000Z`))
    expect(dues.slice(1).map((due) => due.missed)).toEqual(missed)
    // And then it goes on as ever.
    await pass(after, 45 * 60_000)
    expect(dues.at(-1)).toMatchObject({ dueAt: '2026-05-02T13:30:00.000Z', missed: 0 })
  })

  test("a schedule's own policy wins", async () => {
    const { clock, make, write, ids, pass } = setup(['anna'], { misfire: 'skip' })
    write([
      { ...base, id: 'skip', at: '2026-05-01T13:00:00Z' },
      { ...base, id: 'latest', at: '2026-05-01T13:00:00Z', misfire: 'latest' },
    ])
    clock.set('2026-05-03T00:00:00Z')
    const scheduler = make()
    await scheduler.start()
    await pass(scheduler, 0)
    await scheduler.idle()
    await pass(scheduler, HOUR)
    expect(ids()).toEqual(['latest@2026-05-01T13:00:00.000Z'])
  })
})

describe('the clock', () => {
  test('set forward: what became due comes within half a minute; set back: nothing comes twice', async () => {
    const { clock, make, write, ids, pass } = setup()
    write([{ ...base, id: 'a', every: '1h' }])
    const scheduler = make()
    await scheduler.start()
    clock.set('2026-05-01T15:10:00Z')
    await pass(scheduler, 30_000)
    clock.set('2026-05-01T12:10:00Z')
    await pass(scheduler, 3 * HOUR)
    expect(ids()).toEqual(['a@2026-05-01T15:00:00.000Z'])
    await pass(scheduler, HOUR)
    expect(ids()[1]).toBe('a@2026-05-01T16:00:00.000Z')
  })
})

describe('a change', () => {
  test('of the file is seen at once, without refresh; and after refresh for a tenant that is new', async () => {
    const tenants = ['anna']
    const { clock, make, write, ids, dir, pass } = setup(tenants)
    const scheduler = make()
    await scheduler.start()
    const workspace = await Workspace.open(dir('anna'))
    const armed = clock.pending
    await workspace.schedules.add({ id: 'a', text: 'x', createdAt: START, at: '2026-05-01T12:01:00Z' })
    // The notice comes from the kernel; it sets a timer.
    while (clock.pending === armed) await setImmediate()
    await pass(scheduler, 1000)
    await pass(scheduler, 60_000)
    tenants.push('berta')
    mkdirSync(dir('berta'))
    write([{ ...base, id: 'b', at: '2026-05-01T12:05:00Z' }], 'berta')
    scheduler.refresh('berta')
    await scheduler.idle()
    await pass(scheduler, 10 * 60_000)
    expect(ids()).toEqual(['a@2026-05-01T12:01:00.000Z', 'b@2026-05-01T12:05:00.000Z'])
  })

  test('that enables a schedule does not make up for the time in which it was disabled', async () => {
    const { make, write, ids, pass } = setup()
    write([
      { ...base, id: 'a', every: '1h', enabled: false },
      { ...base, id: 'past', at: '2026-05-01T12:30:00Z', enabled: false },
    ])
    const scheduler = make()
    await scheduler.start()
    await pass(scheduler, 5.5 * HOUR)
    write([
      { ...base, id: 'a', every: '1h' },
      { ...base, id: 'past', at: '2026-05-01T12:30:00Z' },
    ])
    scheduler.refresh('anna')
    await scheduler.idle()
    await pass(scheduler, HOUR)
    await scheduler.idle()
    expect(ids()).toEqual(['a@2026-05-01T18:00:00.000Z'])
  })

  test('that removes a tenant, its folder or its file ends its schedules', async () => {
    const { make, write, dues, dir, pass } = setup()
    write([{ ...base, id: 'a', every: '1h' }])
    const scheduler = make()
    await scheduler.start()
    rmSync(dir('anna'), { recursive: true })
    scheduler.refresh('anna')
    await scheduler.idle()
    await pass(scheduler, 5 * HOUR)
    expect(dues).toEqual([])
  })
})

describe('a hostile or broken file', () => {
  test('is reported, and what was read before stays in force', async () => {
    const { make, write, dir, problems, pass } = setup()
    write([{ ...base, id: 'a', every: '1h' }])
    const scheduler = make()
    await scheduler.start()
    writeFileSync(join(dir('anna'), 'SCHEDULES.json'), '{"version":1,')
    scheduler.refresh('anna')
    await scheduler.idle()
    expect(problems).toMatchObject([{ tenant: 'anna', file: 'SCHEDULES.json' }])
    await pass(scheduler, HOUR)
  })

  test('duplicate ids: the first counts', async () => {
    const { make, write, dues, problems, pass } = setup()
    write([
      { ...base, id: 'a', at: '2026-05-01T12:01:00Z', text: 'first' },
      { ...base, id: 'a', at: '2026-05-01T12:01:00Z', text: 'second' },
    ])
    const scheduler = make()
    await scheduler.start()
    await pass(scheduler, HOUR)
    await scheduler.idle()
    expect(dues.map(({ schedule }) => schedule.text)).toEqual(['first'])
    expect(problems).toHaveLength(1)
  })

  test('a million schedules are refused, a few too many are cut off', async () => {
    const { make, dir, write, problems, dues, pass } = setup(['anna', 'berta'], {
      maxPerTenant: 10,
    })
    const one = JSON.stringify({ ...base, id: 'a', every: '1h' })
    writeFileSync(
      join(dir('anna'), 'SCHEDULES.json'),
      `{"version":1,"schedules":[${Array(1_000_000).fill(one).join()}]}`,
    )
    write(
      Array.from({ length: 12 }, (_, index) => ({ ...base, id: `${index}`, every: '1h' })),
      'berta',
    )
    const scheduler = make()
    await scheduler.start()
    expect(problems.find(({ tenant }) => tenant === 'anna')?.message).toContain('limit')
    expect(problems.find(({ tenant }) => tenant === 'berta')?.message).toContain('first 10')
    await pass(scheduler, HOUR)
    await scheduler.idle()
    expect(dues).toHaveLength(10)
  })

  test('with more dues than anybody reads is slowed down: it takes only so many calls in a minute, and holds up no other', async () => {
    const { make, write, dues, problems, pass } = setup(['anna', 'berta'], { maxPerMinute: 3 })
    write(Array.from({ length: 5 }, (_, index) => ({ ...base, id: `${index}`, every: '1m' })))
    write([{ ...base, id: 'b', every: '1m' }], 'berta')
    const scheduler = make()
    await scheduler.start()
    for (let minute = 1; minute <= 10; minute++) {
      await pass(scheduler, 60_000)
      const count = (name: string) => dues.filter(({ tenant }) => tenant === name).length
      expect([count('anna'), count('berta')]).toEqual([3 * minute, minute])
    }
    const anna = dues.filter(({ tenant }) => tenant === 'anna')
    expect(new Set(anna.map(({ id }) => id)).size).toBe(anna.length)
    // In turn, and each says how many of its own it stands for.
    expect(new Set(anna.slice(-5).map(({ schedule }) => schedule.id)).size).toBe(5)
    expect(anna.at(-1)?.missed).toBeGreaterThan(0)
    expect(new Set(problems.map(({ tenant }) => tenant))).toEqual(new Set(['anna']))
    expect(problems[0]?.message).toContain('More than 3')
  })

  test('that asks for something every second is reported: there is nothing more often than every minute', async () => {
    const { make, write, ids, problems, pass } = setup()
    write([
      { ...base, id: 'seconds', every: '1s' },
      { ...base, id: 'cron', cron: '* * * * * *' },
      { ...base, id: 'minutes', every: '1m' },
    ])
    const scheduler = make()
    await scheduler.start()
    await pass(scheduler, 60_000)
    expect(ids()).toEqual(['minutes@2026-05-01T12:01:00.000Z'])
    expect(problems.map(({ message }) => message).join()).toMatch(/index 0 .*at least a minute.*index 1 /)
  })

  test('a listener and a list of tenants that throw break nothing', async () => {
    const { make, write, pass } = setup(['anna'], {
      onProblem: () => {
        throw new Error('listener')
      },
    })
    write([{ ...base, id: 'a', every: '1h' }, 'nonsense' as never])
    const scheduler = make()
    await scheduler.start()
    await pass(scheduler, HOUR)
    const broken = make({
      stateDir: temporaryFolder(),
      tenants: () => {
        throw new Error('database away')
      },
    })
    await broken.start()
  })
})

describe('options', () => {
  test.each([
    { catchUpLimit: 0 },
    { maxPerTenant: 1.5 },
    { maxPerMinute: 0 },
    { concurrency: Number.NaN },
    { misfire: 'never' as never },
  ])('%j is refused', (wrong) => {
    const { make } = setup()
    expect(() => make(wrong)).toThrow(expect.objectContaining({ code: 'INVALID_OPTION' }))
  })

  test('it starts once', async () => {
    const { make } = setup()
    const scheduler = make()
    await scheduler.start()
    await expect(scheduler.start()).rejects.toMatchObject({ code: 'CLOSED' })
  })
})

test('a hundred thousand schedules of ten thousand tenants, one of them broken: all come, each once', {
  timeout: 120_000,
}, async () => {
  const names = Array.from({ length: 10_000 }, (_, index) => `tenant-${index}`)
  const { make, write, dues, problems, handedOver, dir, pass } = setup(names)
  for (const [index, tenant] of names.entries())
    write(
      Array.from({ length: 10 }, (_, own) => ({
        ...base,
        id: `${own}`,
        every: '1d',
        from: new Date(Date.parse(START) + (1 + ((index * 7 + own * 131) % 50)) * 60_000).toISOString(),
      })),
      tenant,
    )
  writeFileSync(join(dir('tenant-77'), 'SCHEDULES.json'), 'broken')
  const scheduler = make()
  await scheduler.start()
  expect(problems).toMatchObject([{ tenant: 'tenant-77' }])
  for (let minute = 0; minute < 51; minute++) {
    await pass(scheduler, 60_000)
  }
  await handedOver(99_990)
  expect(new Set(dues.map(({ tenant, id }) => `${tenant} ${id}`)).size).toBe(99_990)
  expect(dues).toHaveLength(99_990)
  expect(existsSync(dir('tenant-0'))).toBe(true)
})
