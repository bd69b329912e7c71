import { spawnSync } from 'node:child_process'
import { mkdtemp } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type AgentEvent, type AgentMessage, type PoolOptions, TenantPool } from '@tenantbox/core'
import { MemoryEngine, type MemoryProcess } from '@tenantbox/core/testing'
import { BotApiServer, type BotApiServerOptions } from '@tenantbox/telegram/testing'
import { type ApiClientOptions, Bot, type Context } from 'grammy'
import { afterEach } from 'vitest'
import { Gateway } from '../../src/gateway.js'
import type { TelegramGateway, TelegramOptions, TelegramWarning, TenantFlavor } from '../../src/index.js'
import type { MailboxBounds } from '../../src/letters.js'
import { resolveOptions } from '../../src/options.js'
import { Log } from './log.js'
import { TOKEN, watched } from './token-watch.js'

export type TestContext = Context & TenantFlavor

/** What an agent answers a message with. */
type Answers = (
  message: AgentMessage,
  process: MemoryProcess,
  signal: AbortSignal,
) => AsyncIterable<AgentEvent> | Iterable<AgentEvent>

export interface Setup {
  readonly server: BotApiServer
  readonly engine: MemoryEngine
  readonly dataDir: string
  /** What agents were asked, in order; who cancelled what. */
  readonly asked: Log<AgentMessage & { tenant: string }>
  readonly cancelled: Log<string>
  readonly warnings: Log<TelegramWarning>
  /** Another process, as far as it goes: a pool, a bot and a gateway on the same folder and engine. */
  process(): Promise<Running>
}

export interface Running {
  readonly pool: TenantPool
  readonly bot: Bot<TestContext>
  readonly tg: TelegramGateway
  close(): Promise<void>
}

export interface SetupOptions {
  readonly answers?: Answers
  readonly server?: BotApiServerOptions
  /** Where the pool's folder is made. @default the temporary folder */
  readonly disk?: string
  readonly pool?: Partial<PoolOptions>
  readonly mailbox?: MailboxBounds
  readonly telegram?: Partial<TelegramOptions<TestContext>>
  /** @default where time may fly, calls have a deadline of real time */
  readonly client?: ApiClientOptions
  /** @default every message and edited message is answered */
  readonly handlers?: (bot: Bot<TestContext>) => void
}

const cleanups: (() => Promise<unknown> | unknown)[] = []

afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup()
})

export function atEnd(cleanup: () => Promise<unknown> | unknown): void {
  cleanups.push(cleanup)
}

export async function temporaryFolder(below = tmpdir()): Promise<string> {
  const folder = await mkdtemp(join(below, 'tbx-tg-'))
  atEnd(() => spawnSync('rm', ['-rf', folder]))
  return folder
}

function* echo({ text }: AgentMessage): Iterable<AgentEvent> {
  yield { type: 'text', text }
  yield { type: 'done' }
}

export async function setup(options: SetupOptions = {}): Promise<Setup> {
  const dataDir = await temporaryFolder(options.disk)
  const server = await BotApiServer.start({ token: TOKEN, ...options.server })
  atEnd(() => server.close())
  const asked: Setup['asked'] = new Log()
  const cancelled: Setup['cancelled'] = new Log()
  const warnings: Setup['warnings'] = new Log()
  const engine = new MemoryEngine({
    images: { 'agent:1': { agent: agentOf(options.answers ?? echo, asked, cancelled) } },
  })
  const client = options.client ?? (options.telegram?.clock ? { timeoutSeconds: 500 } : {})
  const process = async (): Promise<Running> => {
    const pool = new TenantPool({
      name: 'test',
      driver: engine.driver(),
      dataDir,
      box: { image: 'agent:1' },
      ...options.pool,
    })
    pool.on('warning', (warning) => watched('pool warning', warning))
    const bot = new Bot<TestContext>(server.token, { client: { ...client, apiRoot: server.url } })
    const resolved = resolveOptions({
      pool,
      editEvery: 50,
      gather: 100,
      onWarning: (warning) => warnings.add(watched('warning', warning)),
      ...options.telegram,
    })
    const tg = new Gateway(bot, resolved, options.mailbox)
    const handlers =
      options.handlers ??
      ((one) => one.on(['message', 'edited_message', 'channel_post'], (ctx) => ctx.tenant.answer()))
    handlers(bot)
    const close = async (): Promise<void> => {
      await tg.close()
      await pool.close({ drain: 0 })
    }
    atEnd(close)
    return { pool, bot, tg, close }
  }
  return { server, engine, dataDir, asked, cancelled, warnings, process }
}

/** As `setup`, with a gateway that runs. */
export async function running(options: SetupOptions = {}): Promise<Setup & Running> {
  const made = await setup(options)
  const process = await made.process()
  await process.tg.start()
  return { ...made, ...process }
}

function agentOf(answers: Answers, asked: Setup['asked'], cancelled: Setup['cancelled']) {
  return async (request: Request, process: MemoryProcess): Promise<Response> => {
    const { pathname } = new URL(request.url)
    if (pathname === '/healthz') return Response.json({})
    const body = (await request.json()) as AgentMessage
    if (pathname === '/cancel') {
      cancelled.add(body.id)
      return new Response(null)
    }
    asked.add({ ...body, tenant: process.tenant })
    const events = toAsync(answers(body, process, request.signal))
    return new Response(ndjson(events), { headers: { 'content-type': 'application/x-ndjson' } })
  }
}

async function* toAsync(events: AsyncIterable<AgentEvent> | Iterable<AgentEvent>) {
  yield* events
}

function ndjson(events: AsyncGenerator<AgentEvent>): ReadableStream<Uint8Array> {
  return new ReadableStream({
    async pull(controller) {
      const { done, value } = await events.next()
      if (done) controller.close()
      else controller.enqueue(Buffer.from(`${JSON.stringify(value)}\n`))
    },
    async cancel() {
      await events.return(undefined)
    },
  })
}

/** A moment that a test decides on. */
export function gate(): { readonly passed: Promise<void>; open(): void } {
  let open = (): void => undefined
  const passed = new Promise<void>((resolve) => {
    open = resolve
  })
  return { passed, open }
}
