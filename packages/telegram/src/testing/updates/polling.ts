import type { Clock } from '@tenantbox/core'
import type { Update } from 'grammy/types'
import { conflict } from '../api-error.js'
import type { Params } from '../http/params.js'
import type { UpdateQueue } from './queue.js'

/** In seconds: Telegram waits no longer, whatever a bot asks for. */
const LONGEST_POLL = 50

interface Waiting {
  fail(error: Error): void
}

/** `getUpdates`: one poller at a time, and the newest one wins. */
export class Polling {
  readonly #queue: UpdateQueue
  readonly #clock: Clock
  readonly #onWaiting: () => void
  #waiting: Waiting | undefined

  constructor(queue: UpdateQueue, clock: Clock, onWaiting: () => void) {
    this.#queue = queue
    this.#clock = clock
    this.#onWaiting = onWaiting
  }

  get waiting(): boolean {
    return this.#waiting !== undefined
  }

  /** @param gone Aborts when the bot no longer waits for the answer. */
  poll(params: Params, gone: AbortSignal): Promise<Update[]> {
    this.terminate('terminated by other getUpdates request; make sure that only one bot instance is running')
    const allowed = params.array('allowed_updates', 'allowed_updates')
    if (allowed) this.#queue.allow(allowed.map(String))
    const offset = params.integer('offset') ?? 0
    const limit = Math.min(100, Math.max(1, params.integer('limit') ?? 100))
    const timeout = Math.min(LONGEST_POLL, Math.max(0, params.integer('timeout') ?? 0))
    const updates = this.#queue.fetch(offset, limit)
    if (updates.length > 0 || timeout === 0) return Promise.resolve(updates)
    return this.#wait(timeout, () => this.#queue.fetch(offset, limit), gone)
  }

  /** Ends the poll that waits, if one does. */
  terminate(why: string): void {
    this.#waiting?.fail(conflict(why))
  }

  #wait(timeout: number, fetch: () => Update[], gone: AbortSignal): Promise<Update[]> {
    return new Promise((resolve, reject) => {
      const end = () => {
        cancel()
        stop()
        gone.removeEventListener('abort', leave)
        if (this.#waiting === waiting) this.#waiting = undefined
      }
      const answer = (updates: Update[]) => {
        end()
        resolve(updates)
      }
      const waiting: Waiting = {
        fail: (error) => {
          end()
          reject(error)
        },
      }
      const leave = () => answer([])
      const stop = this.#queue.onUpdates(() => answer(fetch()))
      const cancel = this.#clock.after(timeout * 1000, () => answer([]))
      gone.addEventListener('abort', leave, { once: true })
      this.#waiting = waiting
      this.#onWaiting()
    })
  }
}
