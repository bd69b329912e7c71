import { describe, expect, it } from 'vitest'
import type { DurableFiles } from '../../src/mailbox/durable-files.js'
import { testClock } from '../../src/testing/index.js'
import { failure } from '../pool/helpers.js'
import { deferred } from './helpers.js'
import { live } from './lives.js'
import { ModelDisk } from './model-disk.js'

const FOLDER = '/data/a/mailbox'

interface Fault {
  readonly step: keyof DurableFiles
  readonly path: string
  meet(): Promise<void>
}

/** A mailbox that has handled a message, and has nothing to do. */
async function idle(options: { concurrency?: number; handle?: (id: string) => Promise<void> } = {}) {
  const disk = new ModelDisk()
  const clock = testClock()
  const steps: string[] = []
  let fault: Fault | undefined
  const files = Object.fromEntries(
    Object.entries(disk.files).map(([step, work]) => [
      step,
      async (...args: string[]) => {
        steps.push(step)
        if (fault?.step === step && args.some((arg) => arg.startsWith(fault?.path ?? ''))) await fault.meet()
        return (work as (...args: string[]) => Promise<unknown>)(...args)
      },
    ]),
  ) as unknown as DurableFiles
  const handled: string[] = []
  const life = live({
    clock,
    files,
    root: '/data',
    tenants: ['a', 'b'],
    limits: { concurrency: options.concurrency ?? 8 },
    handle: async ({ id, attempt }) => {
      handled.push(`${id}.${attempt}`)
      if (id !== 'before') await options.handle?.(id)
    },
  })
  await life.office.start()
  await life.post('a', 'before')
  await clock.advance(1)
  steps.length = 0
  handled.length = 0
  return {
    ...life,
    ...{ clock, disk, steps, handled },
    breakAt: (at: Fault) => {
      fault = at
    },
    mend: () => {
      fault = undefined
    },
  }
}

describe('the first attempt at a message that finds nothing waiting', () => {
  it('is stored with it, and kept by the disk before the handler runs', async () => {
    const kept: string[][] = []
    const { disk, steps, handled, post, clock } = await idle({
      handle: async () => {
        disk.powerCut(() => false)
        kept.push(disk.names(`${FOLDER}/new`))
      },
    })
    const posted = post('a', '1')
    await clock.advance(1)
    expect(await posted).toEqual({ duplicate: false })
    expect(kept).toEqual([[expect.stringMatching(/\.001$/)]])
    expect(handled).toEqual(['1.1'])
    expect(steps.slice(0, 4)).toEqual(['write', 'link', 'syncFolder', 'unlink'])
    expect(steps).not.toContain('read')
  })

  it('counts for the first of many only', async () => {
    const hold = deferred()
    const { disk, handled, post, clock } = await idle({ handle: () => hold.promise })
    await Promise.all(['1', '2', '3'].map((id) => post('a', id)))
    await clock.advance(1)
    const attempts = disk.names(`${FOLDER}/new`).map((name) => name.slice(-3))
    expect(attempts).toEqual(['001', '000', '000'])
    hold.resolve()
    await clock.advance(1)
    expect(handled).toEqual(['1.1', '2.1', '3.1'])
  })

  it('is not begun while others have all the turns', async () => {
    const hold = deferred()
    const { disk, post, clock } = await idle({ concurrency: 1, handle: () => hold.promise })
    await post('b', 'long')
    await clock.advance(1)
    await post('a', '1')
    expect(disk.names(`${FOLDER}/new`)).toEqual([expect.stringMatching(/\.000$/)])
    hold.resolve()
    await clock.advance(1)
    expect(disk.names(`${FOLDER}/new`)).toEqual([])
  })

  it('is none when it cannot be stored: the post says so, and the next one is tried as any', async () => {
    const { handled, warnings, breakAt, mend, post, clock } = await idle()
    const noRoom = Object.assign(new Error('no room'), { code: 'ENOSPC' })
    for (const [step, path] of [
      ['write', `${FOLDER}/tmp`],
      ['link', `${FOLDER}/tmp`],
      ['syncFolder', `${FOLDER}/new`],
    ] as const) {
      breakAt({ step, path, meet: () => Promise.reject(noRoom) })
      await failure(post('a', step), 'NOT_STORED')
      mend()
      expect(await post('a', step)).toEqual({ duplicate: false })
      await clock.advance(1)
    }
    expect(handled).toEqual(['write.1', 'link.1', 'syncFolder.1'])
    expect(warnings).toEqual([])
  })

  it.each(['that is being stored', 'that waited'])(
    'at a message %s is not that of a next life',
    async (when) => {
      const busy = deferred()
      const { disk, handled, breakAt, mend, office, post, clock } = await idle({
        concurrency: 1,
        handle: () => busy.promise,
      })
      const [reached, hold] = [deferred(), deferred()]
      if (when === 'that waited') {
        await post('b', 'long')
        await post('a', '1')
      }
      breakAt({
        step: 'syncFolder',
        path: `${FOLDER}/new`,
        meet: () => {
          reached.resolve()
          return hold.promise
        },
      })
      const posted = post('a', '1')
      busy.resolve()
      await reached.promise
      const removed = office.discard('a', async () => {
        for (const name of disk.names(`${FOLDER}/new`)) await disk.files.unlink(`${FOLDER}/new/${name}`)
      })
      mend()
      hold.resolve()
      await Promise.all([posted, removed])
      await clock.advance(1)
      expect(handled.filter((id) => id.startsWith('1'))).toEqual([])
    },
  )
})
