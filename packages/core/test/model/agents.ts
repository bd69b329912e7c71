import { slugOf } from '../../src/identity.js'
import type { MemoryImage, MemoryProcess } from '../../src/testing/index.js'
import type { World } from './world.js'

/** A message on its way through an agent. */
export interface Turn {
  readonly tenant: string
  readonly text: string
}

/** What runs in the boxes. */
export class Agents {
  readonly images: Readonly<Record<string, MemoryImage>>
  /** Messages that an agent is at work on. */
  readonly turns = new Set<Turn>()
  readonly #world: World
  readonly #hung = new Set<string>()
  readonly #busy = new Set<string>()

  constructor(world: World) {
    this.#world = world
    const agent = (request: Request, process: MemoryProcess): Promise<Response> =>
      this.#answer(request, process)
    this.images = {
      'good:1': { agent, main },
      'good:2': { agent, main },
      'exits:1': { agent: false, main: () => 1 },
      'mute:1': { agent: () => say('not yet', 503) },
    }
  }

  /** Whether this tenant's agent takes messages and never answers. */
  hang(tenant: string, hangs: boolean): void {
    if (hangs) this.#hung.add(tenant)
    else this.#hung.delete(tenant)
  }

  /** Whether this tenant's agent says of itself that it is at work. */
  busy(tenant: string, busy: boolean): void {
    if (busy) this.#busy.add(tenant)
    else this.#busy.delete(tenant)
  }

  recover(): void {
    this.#hung.clear()
    this.#busy.clear()
  }

  async #answer(request: Request, { tenant }: MemoryProcess): Promise<Response> {
    const { pathname } = new URL(request.url)
    if (pathname === '/healthz') return say(JSON.stringify({ busy: this.#busy.has(tenant) }))
    if (pathname !== '/message') return say('', 404)
    const { text } = (await request.json()) as { text: string }
    const turn = { tenant, text }
    this.turns.add(turn)
    const over = (): void => void this.turns.delete(turn)
    request.signal.addEventListener('abort', over)
    if (this.#hung.has(tenant)) await new Promise(() => undefined)
    await this.#world.point(`answer ${slugOf(tenant)}`)
    over()
    return say(`${tenant}: ${text}`)
  }
}

/** What an agent logs when it is ready. */
export const READY = 'listening'

function main({ stdout, signal }: MemoryProcess): Promise<number> {
  stdout.write(`${READY}\n`)
  return new Promise((resolve) => signal.addEventListener('abort', () => resolve(143), { once: true }))
}

/** Every request dials anew: how long a connection is kept is measured by the machine's clock. */
function say(text: string, status = 200): Response {
  return new Response(text, { status, headers: { connection: 'close', 'content-type': 'text/plain' } })
}
