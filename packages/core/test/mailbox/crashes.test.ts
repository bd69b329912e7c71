import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { systemClock } from '../../src/clock.js'
import { type DurableFiles, durableFiles } from '../../src/mailbox/durable-files.js'
import { keyOf, parseDoneName, parseName } from '../../src/mailbox/message-name.js'
import type { PostOffice } from '../../src/mailbox/post-office.js'
import { testClock } from '../../src/testing/index.js'
import { tempDirectory } from '../sockets.js'
import { type End, mount } from './halting.js'
import { type Life, live } from './lives.js'
import { ModelDisk } from './model-disk.js'

const ROOT = '/data'
const TENANTS = ['a', 'b', 'c']
const MAX_ATTEMPTS = 4

type Act =
  | { readonly act: 'post'; readonly tenant: string }
  | { readonly act: 'post again'; readonly which: number }
  | { readonly act: 'pass'; readonly ms: number }
  | { readonly act: 'retry failed' }

interface Script {
  readonly acts: readonly Act[]
  /** What becomes of each handling, in turn; once they are used up all goes well. */
  readonly outcomes: readonly ('well' | 'badly' | 'slowly')[]
  readonly end: End
  readonly power: 'kept' | 'cut'
}

interface Handling {
  readonly life: number
  readonly tenant: string
  readonly id: string
  readonly attempt: number
  well: boolean
}

const acts = fc.array(
  fc.oneof(
    {
      weight: 6,
      arbitrary: fc.record({ act: fc.constant('post' as const), tenant: fc.constantFrom(...TENANTS) }),
    },
    { weight: 1, arbitrary: fc.record({ act: fc.constant('post again' as const), which: fc.nat() }) },
    { weight: 3, arbitrary: fc.record({ act: fc.constant('pass' as const), ms: fc.nat(40_000) }) },
    { weight: 1, arbitrary: fc.record({ act: fc.constant('retry failed' as const) }) },
  ),
  { maxLength: 15 },
)

const script: fc.Arbitrary<Script> = fc.record({
  acts,
  outcomes: fc.array(fc.constantFrom('well', 'well', 'badly', 'slowly'), { maxLength: 20 }),
  end: fc.record({ at: fc.integer({ min: 1, max: 120 }), when: fc.constantFrom('before', 'after') }),
  power: fc.constantFrom('kept', 'cut'),
})

/** What a run of lives on one disk came to. */
class World {
  readonly disk = new ModelDisk()
  readonly clock = testClock()
  /** In the order of their first posts. */
  readonly posted = new Map<string, { readonly tenant: string; accepted: boolean }>()
  readonly handled: Handling[] = []
  readonly parked = new Set<string>()
  #life = 0

  async live({ acts, outcomes, end }: Partial<Script> & Pick<Script, 'acts'>): Promise<void> {
    const life = this.#life++
    const { files, kill, killed, isDead } = mount(this.disk.files, end)
    const left = [...(outcomes ?? [])]
    const { office, post } = live({
      clock: this.clock,
      files,
      root: ROOT,
      tenants: TENANTS,
      limits: { maxAttempts: MAX_ATTEMPTS },
      handle: async ({ tenant, id, attempt }) => {
        const handling = { life, tenant, id, attempt, well: false }
        this.handled.push(handling)
        const outcome = left.shift() ?? 'well'
        if (outcome === 'slowly') await new Promise<void>((resolve) => this.clock.after(500, resolve))
        if (outcome === 'badly') throw new Error('on purpose')
        // Who is dead does nothing more.
        handling.well = !isDead()
      },
    })
    office.events.on('failed', ({ id }) => this.parked.add(id))
    const posts: Promise<unknown>[] = []
    const postAs = (tenant: string, id: string): void => {
      const entry = this.posted.get(id) ?? { tenant, accepted: false }
      this.posted.set(id, entry)
      posts.push(
        post(tenant, id).then(() => {
          entry.accepted ||= !isDead()
        }),
      )
    }
    const run = async (): Promise<void> => {
      await office.start()
      for (const act of acts) {
        if (act.act === 'post') postAs(act.tenant, `${this.posted.size}`)
        else if (act.act === 'pass') await this.clock.advance(act.ms)
        else if (act.act === 'retry failed') await office.retryFailed()
        else {
          const known = [...this.posted].filter(([, { accepted }]) => accepted)
          const [id, { tenant }] = known[act.which % known.length] ?? ['', { tenant: '' }]
          if (id !== '') postAs(tenant, id)
        }
      }
      await Promise.all(posts)
    }
    await Promise.race([run(), killed])
    if (end) return kill()
    // The last life goes on until all is done.
    for (let round = 0; round < 10; round++) {
      await this.clock.advance(400_000)
      await office.retryFailed()
    }
    await office.close(0)
  }

  restart({ power }: Pick<Script, 'power'>, chance: () => boolean): void {
    if (power === 'cut') this.disk.powerCut(chance)
    // The process may have ended between the move and the event.
    const failed = TENANTS.flatMap((tenant) => this.disk.names(`${ROOT}/${tenant}/mailbox/failed`))
    const keys = new Set(failed.map((name) => parseName(name)?.key))
    for (const id of this.posted.keys()) if (keys.has(keyOf(id))) this.parked.add(id)
  }

  check(): void {
    for (const [id, { accepted }] of this.posted)
      if (accepted) expect(this.#timesWell(id), `message ${id}`).toBeGreaterThan(0)
    for (const tenant of TENANTS) {
      this.#checkOrder(tenant)
      this.#checkTurns(this.handled.filter((one) => one.tenant === tenant))
    }
    for (const tenant of TENANTS) {
      expect(this.disk.names(`${ROOT}/${tenant}/mailbox/new`)).toEqual([])
      expect(this.disk.names(`${ROOT}/${tenant}/mailbox/failed`)).toEqual([])
      expect(this.disk.names(`${ROOT}/${tenant}/mailbox/tmp`)).toEqual([])
    }
  }

  #timesWell(id: string): number {
    return this.handled.filter((one) => one.id === id && one.well).length
  }

  /** What was never parked comes to its end in the order of the posts. */
  #checkOrder(tenant: string): void {
    const ended = this.handled.filter((one) => one.tenant === tenant && one.well && !this.parked.has(one.id))
    const order = [...new Set(ended.map(({ id }) => Number(id)))]
    expect(order).toEqual([...order].sort((one, other) => one - other))
  }

  /** Whoever is handled again was the last before a crash, and each attempt counts before it begins. */
  #checkTurns(turns: readonly Handling[]): void {
    for (const [index, turn] of turns.entries()) {
      const before = turns.slice(0, index).filter(({ id }) => id === turn.id)
      const latest = before.at(-1)
      expect(turn.attempt).toBeLessThanOrEqual(MAX_ATTEMPTS)
      if (latest && !this.parked.has(turn.id)) expect(turn.attempt).toBeGreaterThan(latest.attempt)
      const well = before.find((one) => one.well)
      if (!well) continue
      expect(well.life, `message ${turn.id} again`).toBeLessThan(turn.life)
      expect(turns.filter(({ life }) => life === well.life).at(-1)).toBe(well)
    }
  }
}

describe('a mailbox over any crashes', () => {
  it('loses nothing, keeps the order, and repeats only what was in flight', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(script, { maxLength: 6 }),
        acts,
        fc.infiniteStream(fc.boolean()),
        async (scripts, last, chances) => {
          const world = new World()
          const chance = (): boolean => chances.next().value ?? false
          for (const script of scripts) {
            await world.live(script)
            world.restart(script, chance)
          }
          await world.live({
            acts: [...last, ...TENANTS.map((tenant) => ({ act: 'post' as const, tenant }))],
          })
          world.check()
        },
      ),
      { numRuns: 300 },
    )
  })

  it('comes through an end at each single step, on the real disk', async () => {
    const seen = new Set<string>()
    for (let at = 1; ; at++) {
      const root = tempDirectory()
      const { files, killed, isDead, kill } = mount(durableFiles, {
        at,
        when: at % 2 === 0 ? 'after' : 'before',
      })
      const accepted: string[] = []
      const first = liveOn(root, files, 1, async ({ id }) => {
        if (id === '1') throw new Error('on purpose')
      })
      const run = async (): Promise<void> => {
        const failed = happens(first.office, 'failed')
        const done = happens(first.office, 'done')
        await first.office.start()
        for (const id of ['1', '2']) {
          await first.post('a', id)
          accepted.push(id)
        }
        await Promise.all([failed, done])
        await first.office.retryFailed()
      }
      await Promise.race([run(), killed])
      const ended = !isDead()
      kill()
      const handled: string[] = []
      const second = liveOn(root, durableFiles, 3, async ({ id }) => void handled.push(id))
      const last = happens(second.office, 'done', 'last')
      await second.office.start()
      await second.office.retryFailed()
      await second.post('a', 'last')
      await last
      await second.office.close(0)
      const left = await readdir(join(root, 'a', 'mailbox'), { recursive: true })
      expect(left.filter((path) => /^(new|tmp|failed)\//.test(path))).toEqual([])
      const done = left
        .filter((path) => path.startsWith('done/'))
        .map((path) => parseDoneName(path.slice(5))?.key)
      for (const id of accepted) expect(done, `message ${id} at step ${at}`).toContain(keyOf(id))
      expect(new Set(handled).size).toBe(handled.length)
      expect(second.warnings).toEqual([])
      seen.add(handled.join())
      if (ended) break
    }
    // Both were met waiting, and handled already.
    expect([...seen].sort()).toEqual(expect.arrayContaining(['1,last', 'last']))
    expect([...seen].some((ids) => ids.includes('2'))).toBe(true)
  })
})

function liveOn(
  root: string,
  files: DurableFiles,
  maxAttempts: number,
  handle: Parameters<typeof live>[0]['handle'],
): Life {
  return live({ clock: systemClock, files, root, tenants: ['a'], limits: { maxAttempts }, handle })
}

function happens(office: PostOffice<string>, event: 'done' | 'failed', wanted?: string): Promise<void> {
  return new Promise((resolve) =>
    office.events.on(event, ({ id }) => {
      if (wanted === undefined || id === wanted) resolve()
    }),
  )
}
