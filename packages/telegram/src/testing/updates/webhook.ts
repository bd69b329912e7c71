import type { CancelTimer, Clock } from '@tenantbox/core'
import type { Update, WebhookInfo } from 'grammy/types'
import { badRequest } from '../api-error.js'
import { unixTime } from '../clock.js'
import { chatOf } from './chat-of.js'
import { deliver, type WebhookDelivery } from './delivery.js'
import type { UpdateQueue } from './queue.js'

export interface WebhookSettings {
  readonly url: string
  /** Sent along as `X-Telegram-Bot-Api-Secret-Token`, unless it is empty. */
  readonly secretToken: string
  readonly maxConnections: number
}

export interface WebhookHost {
  /** Does what the app's answer asks for: a method call may be in it. */
  call(answer: Record<string, unknown>): Promise<void>
  delivered(delivery: WebhookDelivery): void
}

/** One chat's updates, which are delivered one after the other. */
type Lane = { readonly is: 'sending' } | { readonly is: 'waiting'; readonly cancel: CancelTimer }

interface Active extends WebhookSettings {
  readonly stop: AbortController
  readonly lanes: Map<string, Lane>
}

/** In milliseconds: how long the app has for its answer, and the longest pause before the next attempt. */
const ANSWER_WITHIN = 60_000
const LONGEST_PAUSE = 60_000

const LOOPBACK = new Set(['127.0.0.1', 'localhost', '[::1]'])

/** Delivers updates to the app: in order in a chat, side by side over chats, and again until the app answers with 2xx. */
export class Webhook {
  readonly #queue: UpdateQueue
  readonly #clock: Clock
  readonly #host: WebhookHost
  readonly #failures = new Map<number, number>()
  #active: Active | undefined
  #lastError: Pick<WebhookInfo, 'last_error_date' | 'last_error_message'> = {}

  constructor(queue: UpdateQueue, clock: Clock, host: WebhookHost) {
    this.#queue = queue
    this.#clock = clock
    this.#host = host
    queue.onUpdates(() => this.#pump())
  }

  get active(): boolean {
    return this.#active !== undefined
  }

  set(settings: WebhookSettings): void {
    const { hostname, protocol } = parseUrl(settings.url)
    if (protocol !== 'http:' || !LOOPBACK.has(hostname))
      throw badRequest('bad webhook: the local Bot API server delivers to http://127.0.0.1 only')
    if (!/^[\w-]{0,256}$/.test(settings.secretToken))
      throw badRequest('secret token contains unallowed characters')
    this.delete()
    this.#active = { ...settings, stop: new AbortController(), lanes: new Map() }
    this.#pump()
  }

  delete(): void {
    if (!this.#active) return
    this.#active.stop.abort()
    for (const lane of this.#active.lanes.values()) if (lane.is === 'waiting') lane.cancel()
    this.#active = undefined
    this.#lastError = {}
    this.#failures.clear()
  }

  info(): WebhookInfo {
    const { allowed, size } = this.#queue
    return {
      url: this.#active?.url ?? '',
      has_custom_certificate: false,
      pending_update_count: size,
      ...(this.#active && { max_connections: this.#active.maxConnections }),
      ...this.#lastError,
      ...(allowed.length > 0 && { allowed_updates: allowed.filter(isUpdateType) }),
    }
  }

  #pump(): void {
    const active = this.#active
    if (!active) return
    for (const update of this.#queue.pending()) {
      if ([...active.lanes.values()].filter(({ is }) => is === 'sending').length >= active.maxConnections)
        return
      const lane = String(chatOf(update) ?? `update ${update.update_id}`)
      if (!active.lanes.has(lane)) {
        active.lanes.set(lane, { is: 'sending' })
        void this.#send(active, lane, update)
      }
    }
  }

  async #send(active: Active, lane: string, update: Update): Promise<void> {
    const overdue = new AbortController()
    const cancel = this.#clock.after(ANSWER_WITHIN, () => overdue.abort(), { background: true })
    const outcome = await deliver(active, update, AbortSignal.any([active.stop.signal, overdue.signal]))
    cancel()
    if (active.stop.signal.aborted) return
    if (outcome.ok) {
      this.#queue.remove(update)
      this.#failures.delete(update.update_id)
      active.lanes.delete(lane)
      this.#host.delivered({ update, ok: true })
      if (outcome.answer) await this.#host.call(outcome.answer)
    } else {
      this.#lastError = { last_error_date: unixTime(this.#clock), last_error_message: outcome.why }
      const pause = outcome.retryAfter || this.#nextPause(update)
      const waited = () => {
        active.lanes.delete(lane)
        this.#pump()
      }
      active.lanes.set(lane, {
        is: 'waiting',
        cancel: this.#clock.after(pause, waited, { background: true }),
      })
      this.#host.delivered({ update, ok: false, why: outcome.why })
    }
    this.#pump()
  }

  /** At once after the first failure, then after 2 seconds, 4, 8 and so on. */
  #nextPause({ update_id: id }: Update): number {
    const failures = this.#failures.get(id) ?? 0
    this.#failures.set(id, failures + 1)
    return failures === 0 ? 0 : Math.min(LONGEST_PAUSE, 1000 * 2 ** failures)
  }
}

function parseUrl(url: string): URL {
  try {
    return new URL(url)
  } catch (error) {
    if (error instanceof TypeError) throw badRequest('bad webhook: invalid URL specified')
    throw error
  }
}

function isUpdateType(name: string): name is Exclude<keyof Update, 'update_id'> {
  return name !== 'update_id'
}
