import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { connect, createServer, type Server, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { onTestFinished } from 'vitest'
import { engine } from '../engine/world.js'

/**
 * What becomes of the engine's answers. `refuse`: connections break at once. `stall`: answers wait until they pass again.
 * `drip`: a byte at a time, this many milliseconds apart.
 */
export type Weather = 'pass' | 'refuse' | 'stall' | { readonly drip: number }

/** A socket before the engine's own. Requests always reach the engine; answers have to come through the weather. */
export class EngineProxy {
  readonly socketPath: string
  readonly #server: Server
  readonly #links = new Set<Link>()
  #weather = { calls: 'pass' as Weather, events: 'pass' as Weather }

  private constructor(socketPath: string, target: string) {
    this.socketPath = socketPath
    this.#server = createServer((client) => {
      if (this.#weather.calls === 'refuse') return void client.destroy()
      const link: Link = new Link(client, connect(target), () => this.#weather)
      this.#links.add(link)
      client.once('close', () => this.#links.delete(link))
    })
  }

  /** Closed with all its connections when the test is over. */
  static async open(): Promise<EngineProxy> {
    const folder = await mkdtemp(join(tmpdir(), 'tenantbox-proxy-'))
    const target = await (engine.modem as unknown as { getSocketPath(): Promise<string> }).getSocketPath()
    const proxy = new EngineProxy(join(folder, 'docker.sock'), target)
    proxy.#server.listen(proxy.socketPath)
    await once(proxy.#server, 'listening')
    onTestFinished(async () => {
      proxy.cut()
      proxy.#server.close()
      await rm(folder, { recursive: true })
    })
    return proxy
  }

  /** Changes the weather for streams of events, for all other calls, or for both. */
  change(weather: Weather, which: 'both' | 'events' | 'calls' = 'both'): void {
    const { calls, events } = this.#weather
    this.#weather = {
      calls: which === 'events' ? calls : weather,
      events: which === 'calls' ? events : weather,
    }
    for (const link of this.#links) link.look()
  }

  /** Breaks every connection there is, wherever in an answer it is. */
  cut(): void {
    for (const link of this.#links) link.cut()
  }
}

type WeatherReport = () => { readonly calls: Weather; readonly events: Weather }

/** One connection to the engine. */
class Link {
  readonly #client: Socket
  readonly #weather: WeatherReport
  readonly #waiting: Buffer[] = []
  #events = false
  #passing = false

  constructor(client: Socket, upstream: Socket, weather: WeatherReport) {
    this.#client = client
    this.#weather = weather
    for (const [side, other] of [
      [client, upstream],
      [upstream, client],
    ] as const)
      side.on('error', () => side.destroy()).once('close', () => other.destroy())
    client.on('data', (chunk) => {
      this.#events ||= /^GET \S*\/events/.test(chunk.toString('latin1'))
      upstream.write(chunk)
    })
    upstream.on('data', (chunk) => {
      this.#waiting.push(chunk)
      this.look()
    })
  }

  cut(): void {
    this.#client.destroy()
  }

  /** Passes on what may pass. */
  look(): void {
    if (!this.#passing)
      void this.#pass().finally(() => {
        this.#passing = false
      })
  }

  async #pass(): Promise<void> {
    this.#passing = true
    for (let chunk = this.#next(); chunk; chunk = this.#next()) {
      const { drip } = this.#now
      if (drip !== undefined) await sleep(drip)
      this.#client.write(chunk)
    }
  }

  /** The next piece of the answer that may pass now. */
  #next(): Buffer | undefined {
    const { stalled, drip } = this.#now
    const chunk = stalled ? undefined : this.#waiting.shift()
    if (!chunk || drip === undefined || chunk.length <= 1) return chunk
    this.#waiting.unshift(chunk.subarray(1))
    return chunk.subarray(0, 1)
  }

  get #now(): { stalled: boolean; drip: number | undefined } {
    const weather = this.#weather()[this.#events ? 'events' : 'calls']
    return { stalled: weather === 'stall', drip: typeof weather === 'object' ? weather.drip : undefined }
  }
}
