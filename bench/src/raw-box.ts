import { readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import type Docker from 'dockerode'
import { Client, request } from 'undici'

const PROBE_EVERY_MS = 5

/** The image that the benches on a real engine run, whose command is an agent; without one they say that they are left out. */
export function benchImage(bench: string): string | undefined {
  const image = process.env.TENANTBOX_BENCH_IMAGE
  if (!image)
    console.log(
      `\n${bench}: left out. Set TENANTBOX_BENCH_IMAGE to an image whose command is an agent, and DOCKER_HOST if need be.`,
    )
  return image
}

/** What the pool made a box of, to make the same without the pool. */
export async function specOf(engine: Docker, name: string): Promise<Docker.ContainerCreateOptions> {
  const { Config, HostConfig } = await engine.getContainer(name).inspect()
  const { Image, Env, Cmd, User, WorkingDir } = Config
  return {
    name: 'tbx-bench-floor',
    Image,
    Env,
    Cmd,
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
    for (;;) {
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
  }

  #box(): Docker.Container {
    if (!this.#container) throw new Error('create it first')
    return this.#container
  }
}
