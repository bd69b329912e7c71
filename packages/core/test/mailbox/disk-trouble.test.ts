import { describe, expect, it } from 'vitest'
import type { DurableFiles } from '../../src/mailbox/durable-files.js'
import { testClock } from '../../src/testing/index.js'
import { failure } from '../pool/helpers.js'
import { live } from './lives.js'
import { ModelDisk } from './model-disk.js'

const MINUTE = 60_000

/** A disk some of whose steps fail with ENOSPC while `broken` says so of their paths. */
function world(broken: (step: keyof DurableFiles, paths: string) => boolean, disk = new ModelDisk()) {
  const clock = testClock()
  const { files } = disk
  let failures = 0
  const unsteady = Object.fromEntries(
    Object.entries(files).map(([step, work]) => [
      step,
      async (...args: string[]) => {
        if (broken(step as keyof DurableFiles, args.join(' '))) {
          failures++
          throw Object.assign(new Error('no room'), { code: 'ENOSPC' })
        }
        return (work as (...args: string[]) => Promise<unknown>)(...args)
      },
    ]),
  ) as unknown as DurableFiles
  const handled: string[] = []
  const done: string[] = []
  const life = live({
    clock,
    files: unsteady,
    root: '/data',
    tenants: ['a', 'b'],
    handle: async ({ tenant, id, attempt }) => void handled.push(`${tenant} ${id}.${attempt}`),
  })
  life.office.events.on('done', ({ tenant, id }) => done.push(`${tenant} ${id}`))
  return { ...life, clock, handled, done, failures: () => failures }
}

describe('a disk that fails', () => {
  it('when an attempt is put down: it is not begun, and tried again now and then', async () => {
    let broken = true
    const { office, post, clock, handled, done, failures, warnings } = world(
      (step, paths) => broken && step === 'rename' && paths.includes('/data/a/'),
    )
    for (const tenant of ['a', 'b']) await post(tenant, '1')
    await office.start()
    await clock.advance(30 * MINUTE)
    expect(handled).toEqual(['b 1.1'])
    expect(failures()).toBeGreaterThan(5)
    expect(failures()).toBeLessThan(20)
    expect(warnings).toEqual(Array(failures()).fill('MAILBOX_DISK'))
    broken = false
    await clock.advance(5 * MINUTE)
    expect(handled).toEqual(['b 1.1', 'a 1.1'])
    expect(done).toEqual(['b 1', 'a 1'])
  })

  it('when its end is put down: it is not handled again, and the next one waits until that is', async () => {
    let broken = true
    const { office, post, clock, handled, done } = world(
      (step, paths) => broken && step === 'rename' && paths.includes('/done/'),
    )
    await office.start()
    await post('a', '1')
    await clock.advance(1)
    await post('a', '2')
    await clock.advance(30 * MINUTE)
    expect([handled, done]).toEqual([['a 1.1'], []])
    expect(await post('a', '1')).toEqual({ duplicate: true })
    broken = false
    await clock.advance(5 * MINUTE)
    expect(handled).toEqual(['a 1.1', 'a 2.1'])
    expect(done).toEqual(['a 1', 'a 2'])
  })

  it.each([
    ['write', '/tmp/'],
    ['link', '/new/'],
    ['syncFolder', '/new'],
  ] as const)(
    'when a message is stored (%s): the post says so, and nothing is left of it',
    async (step, where) => {
      let broken = false
      const { office, post, clock, handled } = world(
        (name, paths) => broken && name === step && paths.includes(where),
      )
      await post('a', '1')
      broken = true
      const posts = await Promise.allSettled(['2', '3'].map((id) => post('a', id)))
      expect(posts.map(({ status }) => status)).toEqual(['rejected', 'rejected'])
      const error = await failure(post('a', '2'), 'NOT_STORED')
      expect(error).toMatchObject({ tenant: 'a', retryable: true, details: { errno: 'ENOSPC' } })
      broken = false
      expect(await post('a', '3')).toEqual({ duplicate: false })
      expect(await post('a', '2')).toEqual({ duplicate: false })
      await office.start()
      await clock.advance(MINUTE)
      expect(handled).toEqual(['a 1.1', 'a 3.1', 'a 2.1'])
    },
  )

  it('when one tenant is looked into at the start: the others are handled, and that one when it can be', async () => {
    const disk = new ModelDisk()
    const before = world(() => false, disk)
    for (const tenant of ['a', 'b']) await before.post(tenant, '1')
    await before.office.close(0)
    let broken = true
    const { office, clock, handled, warnings } = world(
      (step, paths) => broken && step === 'list' && paths.includes('/data/a/'),
      disk,
    )
    expect(await office.start()).toEqual({ replayed: 1 })
    await clock.advance(MINUTE)
    expect(handled).toEqual(['b 1.1'])
    expect(new Set(warnings)).toEqual(new Set(['MAILBOX_DISK']))
    broken = false
    await clock.advance(5 * MINUTE)
    expect(handled).toEqual(['b 1.1', 'a 1.1'])
  })
})
