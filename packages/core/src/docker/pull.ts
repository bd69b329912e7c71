import type { PullProgress } from '../driver.js'
import type { TenantBoxError } from '../errors.js'
import type { Engine } from './engine.js'
import { answerOf } from './engine-failure.js'
import { jsonLines } from './json-lines.js'
import type { RegistryAuth } from './options.js'
import { startFailed } from './start-failed.js'

/** Longest time without any news of a pull: unpacking a large layer is quiet for a while. */
const SILENCE_MS = 180_000

export interface PullRequest {
  readonly image: string
  readonly platform: string | undefined
  readonly auth: RegistryAuth | undefined
  readonly onProgress: (progress: PullProgress) => void
}

/**
 * Pulls an image to the end; aborting the signal makes the engine stop.
 *
 * @throws TenantBoxError `START_FAILED` with phase `pull`, `ENGINE_UNAVAILABLE`; or the signal's reason
 */
export async function pull(engine: Engine, request: PullRequest, signal: AbortSignal): Promise<void> {
  const { image, platform, auth } = request
  const operation = `pull image ${JSON.stringify(image)}`
  try {
    const stream = await engine.call(
      operation,
      (client, abortSignal) =>
        client.createImage(auth, {
          ...splitReference(image),
          ...(platform ? { platform } : {}),
          abortSignal,
        }),
      { signal, timeout: SILENCE_MS },
    )
    const tally = new PullTally(image)
    for await (const line of engine.follow(operation, jsonLines(stream), stream, {
      signal,
      silence: SILENCE_MS,
    })) {
      const progress = tally.add(line)
      if (progress) request.onProgress(progress)
    }
    request.onProgress(tally.finished())
  } catch (error) {
    // Whatever its status: that may be the registry's.
    const refusal = answerOf(error)
    throw refusal ? pullFailed(image, refusal.message) : error
  }
}

/** `{ fromImage, tag }` of an image reference. Without a tag an engine would pull every one there is. */
export function splitReference(image: string): { fromImage: string; tag: string } {
  const digest = image.indexOf('@')
  if (digest >= 0) return { fromImage: image.slice(0, digest), tag: image.slice(digest + 1) }
  const colon = image.lastIndexOf(':')
  // A colon before the last slash belongs to the registry's port.
  if (colon > image.lastIndexOf('/')) return { fromImage: image.slice(0, colon), tag: image.slice(colon + 1) }
  return { fromImage: image, tag: 'latest' }
}

/** Adds up what the engine says of each layer. */
export class PullTally {
  readonly #image: string
  readonly #layers = new Map<string, { done: number; total: number }>()

  constructor(image: string) {
    this.#image = image
  }

  /** Takes one line in; undefined when it changes nothing. @throws TenantBoxError `START_FAILED` when it tells of a failure */
  add(line: unknown): PullProgress | undefined {
    const { id, status, error, progressDetail } = line as PullLine
    if (error !== undefined) throw pullFailed(this.#image, error)
    if (id === undefined) return undefined
    const layer = this.#layers.get(id)
    const { current, total } = progressDetail ?? {}
    if (status === 'Downloading' && current !== undefined)
      this.#layers.set(id, { done: current, total: Math.max(total ?? 0, current) })
    else if (layer && (status === 'Download complete' || status === 'Pull complete')) layer.done = layer.total
    else return undefined
    return this.#progress(false)
  }

  finished(): PullProgress {
    for (const layer of this.#layers.values()) layer.done = layer.total
    return this.#progress(true)
  }

  #progress(finished: boolean): PullProgress {
    const layers = [...this.#layers.values()]
    const sum = (of: 'done' | 'total') => layers.reduce((bytes, layer) => bytes + layer[of], 0)
    return { image: this.#image, done: sum('done'), total: sum('total'), finished }
  }
}

interface PullLine {
  readonly id?: string
  readonly status?: string
  readonly error?: string
  readonly progressDetail?: { readonly current?: number; readonly total?: number }
}

function pullFailed(image: string, why: string): TenantBoxError<'START_FAILED'> {
  return startFailed(
    'pull',
    `Image ${JSON.stringify(image)} cannot be pulled: ${why.replace(/[.\s]*$/, '')}. Check its name, build it on the engine's machine, or give docker({ auth }) the registry's credentials.`,
  )
}
