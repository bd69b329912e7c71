import { setMaxListeners } from 'node:events'
import { Agent } from 'node:http'
import { Agent as SecureAgent } from 'node:https'
import { inspect } from 'node:util'
import type Docker from 'dockerode'
import type { DriverCall } from '../driver.js'
import { type Endpoint, engineFailure, Unanswered } from './engine-failure.js'

interface EngineCall extends DriverCall {
  /** Longest wait for the answer, in milliseconds. @default the driver's `callTimeout` */
  timeout?: number | undefined
}

interface Followed extends DriverCall {
  /** Longest time between two items, in milliseconds. @default no limit */
  silence?: number | undefined
}

/** Idle connections stay open for the next call; they never keep the process alive. */
const KEEP_ALIVE = { keepAlive: true } as const

/** What dockerode's transport has, and its types leave out. */
interface Modem {
  readonly protocol: 'http' | 'https' | 'ssh'
  readonly host?: string
  readonly port?: number | string
  agent?: Agent
  getSocketPath(): Promise<string>
}

/** The one way to the engine: every call has a deadline, and every failure becomes a `TenantBoxError` here. */
export class Engine {
  readonly #client: Docker
  readonly #modem: Modem
  readonly #ownsClient: boolean
  /** Longest wait for one answer, in milliseconds. */
  readonly timeout: number

  constructor(client: Docker, ownsClient: boolean, timeout: number) {
    this.#client = client
    this.#modem = client.modem as unknown as Modem
    this.#ownsClient = ownsClient
    this.timeout = timeout
    if (!ownsClient || this.#modem.protocol === 'ssh') return
    const agent = this.#modem.protocol === 'https' ? new SecureAgent(KEEP_ALIVE) : new Agent(KEEP_ALIVE)
    this.#modem.agent = briefly(agent)
  }

  /** Where it listens. */
  async endpoint(): Promise<Endpoint> {
    const { host, port } = this.#modem
    if (host) return { kind: 'remote', address: port ? `${host}:${port}` : host }
    return { kind: 'socket', address: await this.#modem.getSocketPath() }
  }

  /**
   * One call. When the answer is a stream, deadline and signal hold until it is there. `operation` completes "The engine
   * did not ...".
   *
   * @throws TenantBoxError `ENGINE_UNAVAILABLE`, also when the engine refused: see `refusalOf` and `forBox`; or the
   * signal's reason
   */
  async call<T>(
    operation: string,
    run: (client: Docker, signal: AbortSignal) => Promise<T>,
    { signal, timeout = this.timeout }: EngineCall = {},
  ): Promise<T> {
    signal?.throwIfAborted()
    // Many calls may share one signal.
    if (signal) setMaxListeners(0, signal)
    const controller = new AbortController()
    briefly(controller.signal)
    let timer: NodeJS.Timeout | undefined
    let aborted: (() => void) | undefined
    const givenUp = new Promise<never>((_, reject) => {
      timer = setTimeout(() => reject(new Unanswered(timeout)), timeout)
      aborted = () => reject(signal?.reason)
      signal?.addEventListener('abort', aborted, { once: true })
    })
    const answer = run(this.#client, controller.signal)
    try {
      return await Promise.race([answer, givenUp])
    } catch (error) {
      // A stream that comes too late is nobody's.
      answer.then(destroy, () => undefined)
      controller.abort()
      if (signal?.aborted) throw signal.reason
      throw await engineFailure(operation, error, await this.endpoint())
    } finally {
      clearTimeout(timer)
      if (aborted) signal?.removeEventListener('abort', aborted)
    }
  }

  /**
   * Passes on what `items` reads from `source`, a stream that `call` gave. Leaving the loop, the signal (also before the
   * loop begins) or too long a silence destroys the source.
   *
   * @throws TenantBoxError `ENGINE_UNAVAILABLE` when the stream breaks or falls silent; or the signal's reason
   */
  follow<T>(
    operation: string,
    items: AsyncIterable<T>,
    source: unknown,
    { signal, silence }: Followed = {},
  ): AsyncGenerator<T, void> {
    const aborted = (): void => destroy(source)
    if (signal?.aborted) aborted()
    else signal?.addEventListener('abort', aborted, { once: true })
    return this.#passOn(operation, items[Symbol.asyncIterator](), silence, signal, () => {
      signal?.removeEventListener('abort', aborted)
      destroy(source)
    })
  }

  async *#passOn<T>(
    operation: string,
    items: AsyncIterator<T>,
    silence: number | undefined,
    signal: AbortSignal | undefined,
    end: () => void,
  ): AsyncGenerator<T, void> {
    let silent: Unanswered | undefined
    try {
      for (;;) {
        const giveUp = (ms: number): void => {
          silent = new Unanswered(ms)
          end()
        }
        const timer = silence === undefined ? undefined : setTimeout(giveUp, silence, silence)
        const next = await items.next().finally(() => clearTimeout(timer))
        if (silent) throw silent
        signal?.throwIfAborted()
        if (next.done) return
        yield next.value
      }
    } catch (error) {
      if (signal?.aborted) throw signal.reason
      throw await engineFailure(operation, silent ?? error, await this.endpoint())
    } finally {
      end()
    }
  }

  /** Closes the idle connections; the next call opens new ones. */
  close(): void {
    if (this.#ownsClient) this.#modem.agent?.destroy()
  }
}

/**
 * docker-modem describes all options of each request for a debug log, whether or not there is one: with the agent's
 * connections, and all that hangs on them, that takes longer than many an answer.
 */
function briefly<T extends object>(thing: T): T {
  return Object.defineProperty(thing, inspect.custom, { value: () => thing.constructor.name })
}

function destroy(source: unknown): void {
  if (
    source !== null &&
    typeof source === 'object' &&
    'destroy' in source &&
    typeof source.destroy === 'function'
  )
    source.destroy()
}
