import type { Json } from '../agent-events.js'
import { slugOf } from '../identity.js'
import { accessTo } from '../pool.js'
import { type Duration, invalidOption, toMilliseconds } from '../units.js'
import { AGENT_POSTS_PATH, agentPostsHandler } from './agent-posts.js'
import { durableFiles } from './durable-files.js'
import type { MailboxEvents } from './mailbox-events.js'
import { type MailboxOptions, resolveMailboxOptions } from './mailbox-options.js'
import { formatMessage } from './message-file.js'
import { PostOffice } from './post-office.js'

/** How much of the bounds each may fill: whatever agents do, there is room for what their users say. */
const SHARES = { user: 1, agent: 0.5 } as const

/**
 * The durable queue of all tenants' messages. What `post` has taken is handled at least once, whatever happens to this
 * process; in the order of the posts for each tenant, and tenants beside each other. A message that fails is tried again,
 * and keeps its tenant's next ones waiting until it is handled or parked in `failed/`. Bodies are JSON, described by a `type`:
 * TypeScript takes no `interface` for JSON.
 *
 * @example
 * const mailbox = new Mailbox<{ text: string }>({
 *   pool,
 *   handle: async (turn) => {
 *     const box = await turn.box()
 *     console.log(await box.send({ id: turn.id, text: turn.body.text, attempt: turn.attempt }).text())
 *   },
 * })
 * await mailbox.start()
 * await mailbox.post('user-42', { id: 'update-1', body: { text: 'hello' } })
 */
export class Mailbox<B extends Json = Json> implements AsyncDisposable {
  readonly #office: PostOffice<B>
  readonly #now: () => number
  readonly #leave: (() => void)[] = []

  /** @throws TenantBoxError `INVALID_OPTION`, also for a pool that has a mailbox already, or serves `/messages` itself */
  constructor(options: MailboxOptions<B>) {
    const { pool, fromAgent, ...resolved } = resolveMailboxOptions(options)
    const { seat, ...access } = accessTo(pool)
    this.#now = () => access.clock.now()
    this.#office = new PostOffice({ ...resolved, pool, access, files: durableFiles })
    this.#leave.push(seat.take(this.#office))
    if (!fromAgent) return
    const handler = agentPostsHandler(fromAgent, (tenant, message) =>
      this.post(tenant, message, { from: 'agent' }),
    )
    try {
      this.#leave.push(pool.serve(AGENT_POSTS_PATH, handler))
    } catch (error) {
      this.#left()
      throw error
    }
  }

  /**
   * Begins to handle messages, those first that wait since before. Opens the pool if need be. A failed start can be
   * repeated.
   *
   * @throws TenantBoxError what `pool.start` throws
   */
  async start(): Promise<{ replayed: number }> {
    return this.#office.start()
  }

  /**
   * Resolves once the message is durable: it is handled whatever happens then. Posts of one tenant keep the order of the
   * calls. One whose id is known (waiting, failed, or handled within `keepDone`) is a duplicate: nothing is stored. Opens
   * the pool if need be; before `start` messages are stored only.
   *
   * @param message `id`: 1 to 1,024 bytes; `body`: JSON. Both together at most 1 MiB
   * @param options `from`: who brings it about, 'user' by default. What comes from an agent, such as a reminder that it has
   * set, fills at most half of `maxDepth` and of `maxWaiting`
   * @throws TenantBoxError `MAILBOX_FULL`, `NOT_STORED` (the disk is full or broken), `TOO_LARGE`, `INVALID_TENANT`,
   * `INVALID_OPTION`, `POOL_CLOSED`, and what `pool.start` throws; in all cases nothing is stored, and it can be posted again
   */
  async post(
    tenant: string,
    message: { id: string; body: B },
    { from = 'user' }: { from?: 'user' | 'agent' | undefined } = {},
  ): Promise<{ duplicate: boolean }> {
    slugOf(tenant)
    if (typeof message !== 'object' || message === null)
      throw invalidOption('message', 'an object with id and body', message)
    if (!Object.hasOwn(SHARES, from)) throw invalidOption('from', "'user' or 'agent'", from)
    const { id, body } = message
    const text = formatMessage(tenant, { id, body, postedAt: this.#now() })
    return this.#office.post(tenant, id, text, SHARES[from])
  }

  /** Has failed messages wait again, of one tenant or of all, each in its old place; resolves with how many. */
  async retryFailed(tenant?: string): Promise<number> {
    if (tenant !== undefined) slugOf(tenant)
    return this.#office.retryFailed(tenant)
  }

  /** Listens to an event until the returned function is called. */
  on<K extends keyof MailboxEvents>(event: K, listener: (event: MailboxEvents[K]) => void): () => void {
    return this.#office.events.on(event, listener)
  }

  /**
   * Takes and begins nothing more, and lets go of everything. What waits is handled after the next start. The pool stays
   * open; closing the pool closes its mailbox first.
   *
   * @param options `drain`: how long turns have to end by themselves before their signals abort, '10s' by default
   */
  async close(options: { drain?: Duration | undefined } = {}): Promise<void> {
    await this.#office.close(toMilliseconds('drain', options.drain ?? '10s'))
    this.#left()
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  #left(): void {
    for (const leave of this.#leave.splice(0)) leave()
  }
}
