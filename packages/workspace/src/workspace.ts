import { isAbsolute, resolve } from 'node:path'
import { Folder } from './beneath.js'
import { invalidOption } from './errors.js'
import { Files } from './files.js'
import type { Json } from './json.js'
import { Memory } from './memory.js'
import type { OnProblem } from './problem.js'
import { Schedules } from './schedules.js'
import type { OutputOf, Schemas } from './schema.js'
import { Session } from './session.js'
import { type Usage, usageOf } from './usage.js'
import { watchTree } from './watch.js'

export interface WorkspaceOptions<S extends Schemas = Schemas> {
  /** Validate and type what the app itself puts into the files. */
  schemas?: S
  /** Told of what was passed over: a torn or broken line, an invalid schedule. @default nobody */
  onProblem?: OnProblem
  /** Whose workspace it is: goes into what `schedules.next` returns. @default '' */
  tenant?: string
}

/**
 * One tenant's folder: what a gateway reads and writes from outside, and an agent from inside (`/workspace`). Whoever is
 * on the other side may be hostile: no symlink is followed, nothing but regular files is opened, sizes are bounded.
 *
 * Holds no handle open between calls, so it needs no closing. A missing file is an empty one.
 */
export class Workspace<M extends Json = Json, P extends Json = Json> {
  /** `MEMORY.md` */
  readonly memory: Memory
  /** `session.jsonl` */
  readonly session: Session<M>
  /** `SCHEDULES.json` */
  readonly schedules: Schedules<P>
  /** Everything else. */
  readonly files: Files
  readonly #directory: string
  readonly #onProblem: OnProblem

  private constructor(directory: string, options: WorkspaceOptions) {
    const onProblem = options.onProblem ?? (() => {})
    this.#directory = directory
    this.#onProblem = onProblem
    this.memory = new Memory(directory, onProblem)
    this.session = new Session(directory, options.schemas?.meta, onProblem)
    this.schedules = new Schedules(directory, options.tenant ?? '', options.schemas?.payload, onProblem)
    this.files = new Files(directory, onProblem)
  }

  /**
   * @param directory The workspace. Its own path must be out of the tenant's reach.
   * @throws WorkspaceError `NOT_FOUND` or `NOT_A_DIRECTORY` when there is no such folder
   */
  static async open<S extends Schemas = Record<never, never>>(
    directory: string,
    options: WorkspaceOptions<S> = {},
  ): Promise<Workspace<OutputOf<S['meta']>, OutputOf<S['payload']>>> {
    if (typeof directory !== 'string' || directory === '' || directory.includes('\0'))
      throw invalidOption('directory', 'the path of a folder', directory)
    const absolute = isAbsolute(directory) ? directory : resolve(directory)
    Folder.root(absolute)[Symbol.dispose]()
    return new Workspace(absolute, options)
  }

  /** What the workspace takes on the disk. */
  async usage(options: { signal?: AbortSignal } = {}): Promise<Usage> {
    return usageOf(this.#directory, options.signal)
  }

  /**
   * Paths that change, whoever changes them, until `signal` aborts (which ends the iteration, it does not throw). Up to
   * 1,000 folders deep in all; further ones are reported.
   */
  watch(options: { signal?: AbortSignal } = {}): AsyncIterable<{ path: string }> {
    return watchTree(this.#directory, options.signal, this.#onProblem)
  }
}
