import { readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { BoxSpec } from '@tenantbox/core'
import type Docker from 'dockerode'
import { Client, request } from 'undici'

const PROBE_EVERY_MS = 5
const PATIENCE_MS = 60_000
const AGENT = fileURLToPath(new URL('../agent', import.meta.url))

/** What the benches on a real engine run; without an engine they say that they are left out. */
export function benchBox(bench: string): BoxSpec | undefined {
  const image = process.env.TENANTBOX_TEST_IMAGE
  if (image) return { image, command: ['node', '/agent/agent.mjs'], mounts: [{ host: AGENT, box: '/agent' }] }
  console.log(`\n${bench}: left out, for want of a Docker engine. \`npm run bench\` finds or starts one.`)
  return undefined
}

/** What the pool made a box of, to make the same without the pool. */
export async function specOf(engine: Docker, name: string): Promise<Docker.ContainerCreateOptions> {
  const { Config, HostConfig } = await engine.getContainer(name).inspect()
  const { Image, Env, Cmd, Entrypoint, User, WorkingDir } = Config
  return {
    name: 'tbx-bench-floor',
    Image,
    Env,
    Cmd,
    Entrypoint,
    User,
    WorkingDir,
    HostConfig,
  } as Docker.ContainerCreateOptions
}

/** The bare calls, and a probe as tight as the pool's. */
export class RawBox {
  readonly #engine: Docker
  readonly #spec: Docker.ContainerCreateOptions
  readonly #run: string
  #container: Docker.Container | undefined

  constructor(engine: Docker, spec: Docker.ContainerCreateOptions, run: string) {
    this.#engine = engine
    this.#spec = spec
    this.#run = run
  }

  async create(): Promise<void> {
    this.#container = await this.#engine.createContainer(this.#spec)
    await this.start()
  }

  async start(): Promise<void> {
    // A socket of the life before would be in the agent's way.
    for (const name of await readdir(this.#run)) await rm(join(this.#run, name))
    await this.#box().start()
    await this.#probe()
  }

  async resume(): Promise<void> {
    await this.#box().unpause()
    await this.#probe()
  }

  async stop(): Promise<void> {
    await this.#box().stop()
  }

  async pause(): Promise<void> {
    await this.#box().pause()
  }

  async remove(): Promise<void> {
    await this.#box().remove({ force: true })
  }

  async #probe(): Promise<void> {
    for (const began = performance.now(); performance.now() - began < PATIENCE_MS; ) {
      const client = new Client('http://localhost', { socketPath: join(this.#run, 'agent.sock') })
      try {
        const { statusCode, body } = await request('http://localhost/healthz', { dispatcher: client })
        await body.dump()
        if (statusCode === 200) return
      } catch {
        // Not listening yet.
        await new Promise((resolve) => setTimeout(resolve, PROBE_EVERY_MS))
      } finally {
        await client.destroy()
      }
    }
    throw new Error('the agent of the bare box does not answer')
  }

  #box(): Docker.Container {
    if (!this.#container) throw new Error('create it first')
    return this.#container
  }
}
