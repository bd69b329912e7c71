import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { getHeapStatistics } from 'node:v8'
import { TenantPool } from '@tenantbox/core'
import { MemoryEngine } from '@tenantbox/core/testing'
import { type TenantFlavor, telegram as telegramGateway } from '@tenantbox/telegram'
import { Bot, type Context } from 'grammy'
import { type Figure, median, print } from './report.js'
import { StubTelegram } from './stub-telegram.js'

const MESSAGES = 300
const CHATS = 1_000
const RUNNING = 20
const ROUNDS = 8
/** Rounds in which caches fill. */
const WARM_UP = 3

/** From Telegram to the agent and back, over real HTTP on this machine. */
export async function telegram(): Promise<void> {
  print('Telegram, one chat whose box runs', await latency())
  print(`Telegram, ${CHATS} chats, ${RUNNING} running boxes`, await sustained())
}

interface World {
  readonly stub: StubTelegram
  /** Called when the agent gets a message. */
  onAsked: () => void
}

async function inWorld(
  maxRunning: number | undefined,
  work: (world: World) => Promise<Figure[]>,
): Promise<Figure[]> {
  const directory = await mkdtemp(join(tmpdir(), 'tenantbox-bench-'))
  const stub = await StubTelegram.start()
  const world: World = { stub, onAsked: () => undefined }
  const agent = (request: Request): Response => {
    if (new URL(request.url).pathname === '/message') world.onAsked()
    return new Response('yes')
  }
  const pool = new TenantPool({
    name: 'bench',
    driver: new MemoryEngine({ images: { 'agent:1': { agent } } }).driver(),
    dataDir: join(directory, 'data'),
    box: { image: 'agent:1' },
    capacity: { maxRunning, minUptime: 0 },
  })
  const bot = new Bot<Context & TenantFlavor>('1:bench', { client: { apiRoot: stub.url } })
  const gateway = telegramGateway(bot, { pool })
  bot.on('message', (ctx) => ctx.tenant.answer())
  try {
    await gateway.start()
    return await work(world)
  } finally {
    await gateway.close()
    await pool.close({ boxes: 'remove' })
    await stub.close()
    await rm(directory, { recursive: true })
  }
}

function latency(): Promise<Figure[]> {
  return inWorld(undefined, async (world) => {
    const { stub } = world
    const added: number[] = []
    for (let index = 0; index < MESSAGES; index++) {
      let delivered = 0
      stub.onDelivered = () => {
        delivered = performance.now()
      }
      world.onAsked = () => added.push(performance.now() - delivered)
      await exchange(stub, [7])
    }
    // The first one wakes the box.
    const ms = median(added.slice(10))
    return [
      {
        name: 'update received to agent asked (p50)',
        value: `${ms.toFixed(2)} ms`,
        target: 'under 5 ms',
        met: ms < 5,
      },
    ]
  })
}

function sustained(): Promise<Figure[]> {
  return inWorld(RUNNING, async ({ stub }) => {
    const chats = Array.from({ length: CHATS }, (_, index) => index + 1)
    const heaps: number[] = []
    const began = performance.now()
    for (let round = 0; round < ROUNDS; round++) {
      await exchange(stub, chats)
      globalThis.gc?.()
      heaps.push(getHeapStatistics().used_heap_size)
    }
    const perSecond = (ROUNDS * CHATS) / ((performance.now() - began) / 1000)
    const first = heaps[WARM_UP - 1] ?? Number.NaN
    const growth = ((heaps.at(-1) ?? Number.NaN) - first) / ((ROUNDS - WARM_UP) * CHATS)
    return [
      { name: 'messages answered', value: `${perSecond.toFixed(0)} per second`, target: '', met: true },
      {
        name: 'heap growth for each message, after a warm-up',
        value: `${growth.toFixed(0)} bytes`,
        // The mailbox knows the ids that it has handled for a day.
        target: 'under 500 bytes',
        met: growth < 500,
      },
      {
        name: 'heap at the end',
        value: `${((heaps.at(-1) ?? 0) / 2 ** 20).toFixed(0)} MiB`,
        target: '',
        met: true,
      },
    ]
  })
}

/** A message of each, and an answer to each. */
async function exchange(stub: StubTelegram, chats: readonly number[]): Promise<void> {
  const waiting = new Set(chats)
  await new Promise<void>((resolve) => {
    stub.onMessage = (chat) => {
      waiting.delete(chat)
      if (waiting.size === 0) resolve()
    }
    for (const chat of chats) stub.say(chat, 'hello')
  })
}
