import type { Update, UserFromGetMe } from 'grammy/types'
import type { ServerEvent, UntilOptions } from './activity.js'
import { ApiError } from './api-error.js'
import { type ApiCall, type CallOutcome, describeCalls } from './calls.js'
import { TestChat } from './chat.js'
import { type Fault, type FaultScope, Faults } from './faults.js'
import { Front } from './http/front.js'
import { Params } from './http/params.js'
import type { Call } from './methods/call.js'
import { findMethod } from './methods/table.js'
import { type BotApiServerOptions, type ResolvedOptions, resolveOptions } from './options.js'
import { RateLimiter } from './rate-limits.js'
import type { AnyChat } from './state/chat-record.js'
import type { FileContent } from './state/files.js'
import { World } from './state/world.js'
import type { WebhookDelivery } from './updates/delivery.js'
import { Polling } from './updates/polling.js'
import { UpdateQueue } from './updates/queue.js'
import { Webhook } from './updates/webhook.js'

export interface ChatOptions {
  /** @default private for a positive id, a supergroup below -1000000000000, else a group */
  readonly type?: 'private' | 'group' | 'supergroup'
  /** Of a group. */
  readonly title?: string
  /** A supergroup with topics. @default false */
  readonly forum?: boolean
}

/**
 * A Bot API server on this machine, for tests and for trying a bot without a token. It keeps everything in memory and talks to
 * nobody but the bot.
 *
 * ```ts
 * const server = await BotApiServer.start()
 * const bot = new Bot(server.token, { client: { apiRoot: server.url } })
 *
 * const anna = server.chat(7).user({ first_name: 'Anna' })
 * anna.say('hi')
 * await server.chat(7).answer('hello Anna')
 * await server.close()
 * ```
 */
export class BotApiServer {
  readonly #options: ResolvedOptions
  readonly #world: World
  readonly #faults = new Faults()
  readonly #limiter: RateLimiter
  readonly #polling: Polling
  readonly #webhook: Webhook
  readonly #front: Front
  readonly #chats = new Map<number, TestChat>()
  #port = 0

  private constructor(options: ResolvedOptions) {
    const { clock, token, username, limits, firstUpdateId } = options
    const updates = new UpdateQueue(clock, firstUpdateId)
    this.#options = options
    this.#world = new World(botUser(token, username), clock, updates)
    updates.onUpdates(() => this.#world.activity.tell({ type: 'updates' }))
    this.#limiter = new RateLimiter(limits, clock)
    this.#polling = new Polling(updates, clock, () => this.#world.activity.tell({ type: 'poll' }))
    this.#webhook = new Webhook(updates, clock, {
      call: async ({ method, ...values }) => {
        await this.#call(String(method), new Params(values), new AbortController().signal)
      },
      delivered: (delivery) => this.#world.delivered(delivery),
    })
    this.#front = new Front({
      token,
      call: (method, params, gone, refused) => this.#call(method, params, gone, refused),
      fault: (method, params) => this.#meetFault(method, params),
      file: (path) => this.#world.files.byPath(path),
      pause: (ms) => new Promise((resolve) => clock.after(ms, resolve, { background: true })),
    })
  }

  /** Starts to listen on 127.0.0.1. */
  static async start(options: BotApiServerOptions = {}): Promise<BotApiServer> {
    const server = new BotApiServer(resolveOptions(options))
    server.#port = await server.#front.listen(server.#options.port)
    return server
  }

  /** For the `apiRoot` of grammY's client. */
  get url(): string {
    return `http://127.0.0.1:${this.#port}`
  }

  get token(): string {
    return this.#options.token
  }

  get bot(): UserFromGetMe {
    return this.#world.bot
  }

  /** All calls that were answered, the oldest first. `getUpdates` is among them once it is answered. */
  get calls(): readonly ApiCall[] {
    return this.#world.calls.all
  }

  /** All attempts to hand updates to the app by webhook, the oldest first. */
  get deliveries(): readonly WebhookDelivery[] {
    return this.#world.deliveries.all
  }

  /** How many of the faults that `fail` has planned are still to come. */
  get plannedFaults(): number {
    return this.#faults.planned
  }

  /** Whether a bot waits for updates in a long poll right now. */
  get polled(): boolean {
    return this.#polling.waiting
  }

  /** Updates that the bot has not yet taken. */
  get pendingUpdates(): readonly Update[] {
    return this.#world.updates.pending()
  }

  /** The chat with this id; there is none before it is first asked for. */
  chat(id: number, options: ChatOptions = {}): TestChat {
    const known = this.#chats.get(id)
    if (known) return known
    const record = this.#world.chats.get(id) ?? this.#world.addChat(newChat(id, options))
    const chat = new TestChat(this.#world, record)
    this.#chats.set(id, chat)
    if (id > 0) chat.user()
    return chat
  }

  /** A file that was sent, by the `file_id` that its message has. */
  file(id: string): FileContent | undefined {
    return this.#world.files.byId(id)
  }

  /** Lets the next calls fail, see {@link Fault}. @returns takes back what is left of it */
  fail(fault: Fault, scope: FaultScope = {}): () => void {
    return this.#faults.plan(fault, scope)
  }

  /** Cannot be reached from now on: connections break, and so do new ones. What the bot should get is kept. */
  down(): void {
    this.#front.reachable(false)
  }

  up(): void {
    this.#front.reachable(true)
  }

  /** Updates are kept back until `releaseUpdates`. */
  holdUpdates(): void {
    this.#world.updates.hold()
  }

  /**
   * Delivers what was kept back.
   *
   * @param arrange Puts the updates into another order, or doubles some. @default as they are
   */
  releaseUpdates(arrange: (updates: readonly Update[]) => readonly Update[] = (updates) => updates): void {
    this.#world.updates.deliver(arrange(this.#world.updates.release()))
  }

  /** Delivers an update once more, with the id it has. */
  repeatUpdate(update: Update): void {
    this.#world.updates.deliver([update])
  }

  /** Tells of everything that happens, until the returned function is called. */
  subscribe(listener: (event: ServerEvent) => void): () => void {
    return this.#world.activity.subscribe(listener)
  }

  /**
   * Waits for something to be true. It is looked at after everything that happens, without polling.
   *
   * @returns what `look` has found
   */
  until<T>(look: (server: this) => T | undefined | null | false, options: UntilOptions = {}): Promise<T> {
    const describe = () => describeCalls(this.#world.calls.all)
    return this.#world.activity.until(() => look(this), options, describe)
  }

  /** Stops listening and breaks all connections. */
  async close(): Promise<void> {
    this.#webhook.delete()
    await this.#front.close()
  }

  #meetFault(method: string, params: Params): Fault | undefined {
    const fault = this.#faults.meet({ method, ...aboutChat(params) })
    if (fault) this.#world.activity.tell({ type: 'fault', fault })
    return fault
  }

  async #call(name: string, params: Params, gone: AbortSignal, refused?: ApiError): Promise<CallOutcome> {
    const outcome = await this.#outcome(name, params, gone, refused)
    const { clock } = this.#world
    const call: ApiCall = {
      method: name,
      ...aboutChat(params),
      params: params.values,
      at: clock.now(),
      outcome,
    }
    this.#world.called(call)
    return outcome
  }

  async #outcome(name: string, params: Params, gone: AbortSignal, refused?: ApiError): Promise<CallOutcome> {
    try {
      if (refused) throw refused
      const method = findMethod(name)
      if (!method) throw new ApiError(404, 'Not Found: method not found')
      return { ok: true, result: await method(this.#context(params, gone)) }
    } catch (error) {
      // A mistake of the server's own shows in the log of calls, and the bot sees what Telegram's would look like.
      const { code, description, parameters } =
        error instanceof ApiError ? error : new ApiError(500, `Internal Server Error: ${error}`)
      return { ok: false, code, description, ...(parameters && { parameters }) }
    }
  }

  #context(params: Params, gone: AbortSignal): Call {
    return {
      world: this.#world,
      params,
      limiter: this.#limiter,
      polling: this.#polling,
      webhook: this.#webhook,
      gone,
    }
  }
}

function aboutChat(params: Params): { chat?: number } {
  const chat = params.integer('chat_id')
  return chat === undefined ? {} : { chat }
}

function botUser(token: string, username: string): UserFromGetMe {
  return {
    id: Number(token.split(':', 1)[0]),
    is_bot: true,
    first_name: username,
    username,
    can_join_groups: true,
    can_read_all_group_messages: true,
    supports_inline_queries: false,
    can_connect_to_business: false,
    has_main_web_app: false,
    has_topics_enabled: false,
    allows_users_to_create_topics: false,
    can_manage_bots: false,
    supports_join_request_queries: false,
  }
}

/** Ids of supergroups begin with -100 and have ten more digits. */
const FIRST_SUPERGROUP = -1_000_000_000_000

function newChat(id: number, options: ChatOptions): AnyChat {
  const type =
    options.type ?? (id > 0 ? 'private' : id < FIRST_SUPERGROUP || options.forum ? 'supergroup' : 'group')
  const title = options.title ?? `Group ${Math.abs(id)}`
  switch (type) {
    case 'private':
      return { id, type, first_name: `User ${id}` }
    case 'group':
      return { id, type, title }
    case 'supergroup':
      return options.forum ? { id, type, title, is_forum: true } : { id, type, title }
  }
}
