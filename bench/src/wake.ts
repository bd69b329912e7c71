import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { TenantPool } from '@tenantbox/core'
import { docker } from '@tenantbox/core/docker'
import Docker from 'dockerode'
import { Client, request } from 'undici'
import { against, median, print } from './report.js'

const ROUNDS = 15
const PROBE_EVERY_MS = 5

/** Wakes against bare dockerode calls and the same probe, by turns in the same run, with boxes of the same making. */
export async function wake(): Promise<void> {
  const image = process.env.TENANTBOX_BENCH_IMAGE
  if (!image) {
    console.log(
      '\nWakes: left out. Set TENANTBOX_BENCH_IMAGE to an image whose command is an agent, and DOCKER_HOST if need be.',
    )
    return
  }
  const dataDir = await mkdtemp(join(tmpdir(), 'tenantbox-bench-'))
  const pool = new TenantPool({
    name: 'bench',
    driver: docker(),
    dataDir,
    box: { image },
    idle: { stopAfter: false },
  })
  const engine = new Docker()
  try {
    await pool.ensure('pooled')
    await pool.ensure('raw')
    const spec = await specOf(engine, 'tbx-bench-raw')
    await pool.remove('raw')
    const raw = new RawBox(engine, spec, join(dataDir, 'raw', 'run'))
    const times = { created: pair(), stopped: pair(), paused: pair() }
    for (let round = 0; round <= ROUNDS; round++) {
      await pool.remove('pooled')
      // By turns who goes first; the first round warms up.
      const runs = [
        async () => {
          times.created.pool.push(await timed(() => pool.ensure('pooled')))
          await pool.stop('pooled')
          times.stopped.pool.push(await timed(() => pool.ensure('pooled')))
          await pool.pause('pooled')
          times.paused.pool.push(await timed(async () => (await pool.fetch('pooled', '/healthz')).text()))
        },
        async () => {
          times.created.raw.push(await timed(() => raw.create()))
          await raw.stop()
          times.stopped.raw.push(await timed(() => raw.start()))
          await raw.pause()
          times.paused.raw.push(await timed(() => raw.resume()))
          await raw.remove()
        },
      ]
      for (const run of round % 2 ? runs.reverse() : runs) await run()
      if (round === 0)
        for (const one of Object.values(times)) for (const list of Object.values(one)) list.length = 0
    }
    const row = (name: string, { pool: ours, raw: bare }: Pair, atMost: number) =>
      against(name, median(ours), median(bare), atMost)
    print(
      `Wakes, median of ${ROUNDS}, to the agent's first answer, beside bare dockerode and the same probe`,
      [
        row('create to ready', times.created, 1.1),
        row('from stopped', times.stopped, 1.1),
        row('from paused', times.paused, 1.15),
      ],
    )
  } finally {
    await pool.close({ boxes: 'remove' })
    await rm(dataDir, { recursive: true })
  }
}

interface Pair {
  readonly pool: number[]
  readonly raw: number[]
}

function pair(): Pair {
  return { pool: [], raw: [] }
}

async function timed(work: () => Promise<unknown>): Promise<number> {
  const began = performance.now()
  await work()
  return performance.now() - began
}

/** What the pool made a box of, to make the same without the pool. */
async function specOf(engine: Docker, name: string): Promise<Docker.ContainerCreateOptions> {
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
class RawBox {
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
