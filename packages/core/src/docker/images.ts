import type Docker from 'dockerode'
import type { DriverCall, PullProgress } from '../driver.js'
import type { TenantBoxError } from '../errors.js'
import { SharedFlight } from '../shared-flight.js'
import { invalidOption } from '../units.js'
import type { Engine } from './engine.js'
import { refusalOf } from './engine-failure.js'
import type { ResolvedDockerOptions } from './options.js'
import { pull } from './pull.js'
import { startFailed } from './start-failed.js'

const REFERENCE = /^[a-zA-Z0-9][\w.:/@-]*$/

type Listener = (progress: PullProgress) => void

/** The engine's images by name: present or pulled, and their ids as long as events tell of every change. */
export class Images {
  readonly #engine: Engine
  readonly #options: ResolvedDockerOptions
  readonly #ids = new Map<string, string>()
  /** What each image declares, by its id, which never means another. */
  readonly #volumes = new Map<string, readonly string[]>()
  readonly #flights = new Map<string, { flight: SharedFlight<string>; listeners: Set<Listener> }>()
  /** How many streams of events tell of changes; with none, an id may be out of date at once. */
  #watchers = 0
  /** Grows with every change at the engine: an id asked for before one must not be kept after it. */
  #version = 0

  constructor(engine: Engine, options: ResolvedDockerOptions) {
    this.#engine = engine
    this.#options = options
  }

  /** From now on `changed` is called for every change, so ids can be kept, until what this returns is called. */
  watched(): () => void {
    this.#watchers++
    this.changed()
    return () => {
      this.#watchers--
      this.changed()
    }
  }

  changed(): void {
    this.#version++
    this.#ids.clear()
  }

  /**
   * Makes sure the image is there. Callers of one image join one pull, which ends when the last of them gives up.
   *
   * @throws TenantBoxError `START_FAILED` with phase `pull`
   */
  async prepare(image: string, { signal }: DriverCall, onPull: Listener | undefined): Promise<string> {
    signal?.throwIfAborted()
    assertReference(image)
    const known = this.#options.pull === 'always' ? undefined : this.#ids.get(image)
    if (known !== undefined) return known
    const { flight, listeners } = this.#flightOf(image)
    if (onPull) listeners.add(onPull)
    try {
      return await flight.join(signal)
    } finally {
      if (onPull) listeners.delete(onPull)
    }
  }

  /** The image's id; undefined when the engine says that there is no such image. Never pulls. */
  async find(image: string, { signal }: DriverCall): Promise<string | undefined> {
    assertReference(image)
    return this.#ids.get(image) ?? (await this.#idOf(image, signal))
  }

  /** The folders that an image declares as volumes; none of an image that is not there. */
  async volumesOf(image: string, options: DriverCall): Promise<readonly string[]> {
    const id = await this.find(image, options)
    return (id !== undefined && this.#volumes.get(id)) || []
  }

  #flightOf(image: string) {
    const current = this.#flights.get(image)
    if (current && !current.flight.abandoned) return current
    const listeners = new Set<Listener>()
    const tell: Listener = (progress) => {
      for (const listener of listeners) listener(progress)
    }
    const started = { flight: new SharedFlight((signal) => this.#present(image, tell, signal)), listeners }
    this.#flights.set(image, started)
    void started.flight.settled.then(() => {
      if (this.#flights.get(image) === started) this.#flights.delete(image)
    })
    return started
  }

  async #present(image: string, onProgress: Listener, signal: AbortSignal): Promise<string> {
    const { pull: policy, platform, authFor } = this.#options
    const found = policy === 'always' ? undefined : await this.#idOf(image, signal)
    if (found !== undefined) return found
    if (policy === 'never')
      throw missing(
        image,
        "docker({ pull: 'never' }) forbids to pull it. Build or load it on the engine's machine",
      )
    await pull(this.#engine, { image, platform, auth: await authFor(image), onProgress }, signal)
    const pulled = await this.#idOf(image, signal)
    if (pulled === undefined) throw missing(image, 'it was pulled and is gone again. Try once more')
    return pulled
  }

  async #idOf(image: string, signal: AbortSignal | undefined): Promise<string | undefined> {
    const version = this.#version
    const found = await this.#inspect(image, signal)
    if (found) this.#volumes.set(found.Id, Object.keys(found.Config?.Volumes ?? {}))
    if (found && this.#watchers > 0 && version === this.#version) this.#ids.set(image, found.Id)
    return found?.Id
  }

  async #inspect(
    image: string,
    signal: AbortSignal | undefined,
  ): Promise<Docker.ImageInspectInfo | undefined> {
    const operation = `look up image ${JSON.stringify(image)}`
    try {
      return await this.#engine.call(operation, (client) => client.getImage(image).inspect(), { signal })
    } catch (error) {
      if (refusalOf(error)?.status === 404) return undefined
      throw error
    }
  }
}

/** A reference becomes part of a URL's path. */
function assertReference(image: string): void {
  if (!REFERENCE.test(image) || image.includes('..'))
    throw invalidOption('box.image', "an image reference such as 'registry.example/agent:1'", image)
}

function missing(image: string, why: string): TenantBoxError<'START_FAILED'> {
  return startFailed('pull', `Image ${JSON.stringify(image)} is missing: ${why}.`)
}
