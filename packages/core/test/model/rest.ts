import { setImmediate } from 'node:timers/promises'
import { begin } from './commands/processes.js'
import { TENANTS } from './conditions.js'
import type { Gateway } from './gateway.js'
import { PROMISES } from './promises/index.js'
import type { World } from './world.js'

/** Longer than any timeout and any backoff. */
const LONG = 30 * 60_000
const STEP = 5_000

/** The trouble is over. Whatever has happened, everybody must get an answer, and every tenant a box. */
export async function comeToRest(world: World): Promise<void> {
  await world.calmDown()
  const gateway = await lastGateway(world)
  world.image = 'good:1'
  gateway.pool.update({ box: world.spec })
  for (const work of world.callers.working) work.finish()
  await until(world, 'every caller has an answer', () => world.callers.waiting.size === 0)
  // A box of a bad release is kept as long as nobody takes it away.
  if (world.conditions.onDrift === 'keep') await removeAll(world, gateway)
  for (const tenant of TENANTS) await served(world, gateway, tenant)
  await allAtOnce(world, gateway)
  // Whatever nobody told the pool of, it finds out by itself.
  await pass(world, 6 * 60_000)
  world.eventsWereLost = false
  for (const tenant of TENANTS) await served(world, gateway, tenant)
  await until(world, 'nothing is under way', () => world.callers.waiting.size === 0)
  await turns()
  agree(world, gateway)
  judge(world, 'atRest')
  await putAway(world)
  judge(world, 'afterwards')
}

async function lastGateway(world: World): Promise<Gateway> {
  for (const gateway of world.gateways)
    if (gateway !== world.gateway && !gateway.closing && !gateway.process.killed) gateway.close({ drain: 0 })
  world.second = undefined
  await until(world, 'the others are closed', () =>
    world.gateways.every((one) => one === world.gateway || one.closed || one.process.killed),
  )
  if (!world.gateway) begin(world)
  const { gateway } = world
  if (!gateway) throw new Error('there is no process')
  // A start that failed can be repeated.
  await until(world, 'the pool is open', () => {
    if (!gateway.opened && world.callers.waiting.size === 0) gateway.start()
    return gateway.opened
  })
  return gateway
}

async function removeAll(world: World, gateway: Gateway): Promise<void> {
  const { callers } = world
  for (const tenant of TENANTS)
    callers.begin(gateway, 'remove', tenant, (signal) => gateway.pool.remove(tenant, { signal }))
  await until(world, 'the boxes are removed', () => callers.waiting.size === 0)
}

/** A tenant's box can be had, however often it takes: crash loops end, too. */
async function served(world: World, gateway: Gateway, tenant: string): Promise<void> {
  let ready = false
  let last: unknown
  for (let waited = 0; !ready && waited < LONG; waited += STEP) {
    world.callers.begin(gateway, 'ensure', tenant, async (signal) => {
      await gateway.pool.ensure(tenant, { signal }).then(
        () => {
          ready = true
          // Whoever was told everything, or has asked for everything since, knows whether a box runs.
          const box = world.engine.box(tenant)
          if (box && box.state !== 'running' && !world.eventsWereLost)
            world.break('after trouble', `${tenant} can be had, and is ${box.state} at the engine`)
        },
        (error: unknown) => {
          last = error
          throw error
        },
      )
    })
    await until(world, `ensure(${tenant}) ends`, () => world.callers.waiting.size === 0)
    if (!ready) await pass(world, STEP)
  }
  if (!ready) world.break('after trouble', `${tenant} is not served: ${String(last)}`)
  world.assertKept()
}

/** As many as there is room for can be at work at the same time: no slot was lost on the way. */
async function allAtOnce(world: World, gateway: Gateway): Promise<void> {
  const { callers, conditions } = world
  const some = TENANTS.slice(0, conditions.maxRunning)
  for (const tenant of some) callers.use(gateway, tenant)
  await until(world, `${some.join(' and ')} are at work together`, () => callers.working.size === some.length)
  for (const work of callers.working) work.finish()
  await until(world, 'they are done', () => callers.waiting.size === 0)
}

/** What the pool says of each box is what the engine says. */
function agree(world: World, { pool }: Gateway): void {
  for (const tenant of TENANTS) {
    const known = pool.get(tenant)?.state
    const real = world.engine.box(tenant)?.state
    if (known !== real)
      world.break('after trouble', `${tenant} is ${real} at the engine, and ${known} for the pool`)
  }
}

async function putAway(world: World): Promise<void> {
  const { gateway } = world
  if (!gateway) return
  gateway.close({ drain: 0 })
  await until(world, 'the pool is closed', () => gateway.closed)
  const expected = { keep: undefined, stop: 'stopped', remove: 'removed' }[world.conditions.onClose]
  for (const tenant of TENANTS) {
    const state = world.engine.box(tenant)?.state ?? 'removed'
    if (expected !== undefined && state !== expected)
      world.break('after trouble', `${tenant} was left ${state} by close`)
  }
}

function judge(world: World, when: 'atRest' | 'afterwards'): void {
  for (const promise of PROMISES) promise[when]?.(world, (how) => world.break(promise.title, how))
  world.assertKept()
}

async function until(world: World, what: string, isSo: () => boolean): Promise<void> {
  await turns(isSo)
  for (let waited = 0; !isSo() && waited < LONG; waited += STEP) {
    await world.clock.advance(STEP)
    await turns(isSo)
  }
  if (!isSo()) {
    const waiting = [...world.callers.waiting].map((call) => `${call.what}(${call.tenant ?? ''})`)
    world.break('after trouble', `not so after ${LONG} ms: ${what}. Waiting: ${waiting.join(', ')}`)
  }
  world.assertKept()
}

async function pass(world: World, ms: number): Promise<void> {
  await world.clock.advance(ms)
  await turns()
}

/** Lets what is under way at the agents, which need no clock, come to its end, or to where nothing more is awaited. */
async function turns(enough = (): boolean => false): Promise<void> {
  for (let turn = 0; turn < 40 && !enough(); turn++) await setImmediate()
}
