import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { TenantPool } from '@tenantbox/core'
import { MemoryEngine } from '@tenantbox/core/testing'
import { type TenantFlavor, telegram as telegramGateway } from '@tenantbox/telegram'
import { Bot, type Context } from 'grammy'
import { storeBare, timed } from './bare-file.js'
import { course, LEVEL, type Memory, memoryInUse, toMiB } from './growth.js'
import { type Figure, median, print } from './report.js'
import { StubTelegram } from './stub-telegram.js'

const MESSAGES = 300
const CHATS = 1_000
const RUNNING = 20
const AT_ONCE = 100
const SUSTAINED_MS = 60_000
/** Nobody writes in the moment the answer comes: the gateway has put the message before away by then. */
const BETWEEN_MS = 10

/** From Telegram to the agent and back, over real HTTP on this machine. */
export async function telegram(): Promise<void> {
  print('Telegram, one chat whose box runs', await latency())
  print(`Telegram, ${CHATS} chats, ${RUNNING} running boxes`, await sustained())
}

interface World {
  readonly directory: string
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
  const world: World = { directory, stub, onAsked: () => undefined }
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
    const { stub, directory } = world
    const folder = join(directory, 'bare')
    await mkdir(folder)
    const added: number[] = []
    const bare: number[] = []
    for (let index = 0; index < MESSAGES; index++) {
      let delivered = 0
      stub.onDelivered = () => {
        delivered = performance.now()
      }
      world.onAsked = () => added.push(performance.now() - delivered)
      bare.push(await timed(() => storeBare(folder, `${index}`, 'x'.repeat(500))))
      await exchange(stub, [7])
      await sleep(BETWEEN_MS)
    }
    // The first one wakes the box.
    const ms = median(added.slice(10))
    return [
      {
        name: 'update received to agent asked (p50)',
        value: `${ms.toFixed(2)} ms`,
        floor: `${median(bare).toFixed(2)} ms to store a file`,
        target: 'under 5 ms',
        met: ms < 5,
      },
    ]
  })
}

function sustained(): Promise<Figure[]> {
  return inWorld(RUNNING, async ({ stub }) => {
    // Each chat gets its tenant.
    for (let first = 1; first <= CHATS; first += AT_ONCE) await exchange(stub, someChats(first))
    const samples: Memory[] = []
    let answered = 0
    const began = performance.now()
    while (performance.now() - began < SUSTAINED_MS) {
      await exchange(stub, someChats((answered % CHATS) + 1))
      answered += AT_ONCE
      samples.push(memoryInUse())
    }
    const perSecond = answered / ((performance.now() - began) / 1000)
    const level = (what: keyof Memory): Figure => {
      const { first, last } = course(samples.map((sample) => sample[what]))
      return {
        name: `${what}, at first and in the end`,
        value: `${toMiB(first)} and ${toMiB(last)} MiB`,
        target: `at most ${toMiB(LEVEL[what])} MiB more`,
        met: last - first <= LEVEL[what],
      }
    }
    return [
      {
        name: 'messages answered',
        value: `${answered}, ${perSecond.toFixed(0)} per second`,
        target: '',
        met: true,
      },
      level('heap'),
      level('rss'),
    ]
  })
}

function someChats(first: number): number[] {
  return Array.from({ length: AT_ONCE }, (_, index) => first + index)
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
