import { setTimeout } from 'node:timers/promises'
import type { BoxRef, DriverCall } from '../driver.js'
import type { TenantBoxError } from '../errors.js'
import { asideName, boxName } from '../identity.js'
import { toSeconds } from './box-config.js'
import { boxFailed, boxGone, type Containers, type Refused } from './containers.js'
import type { Logs } from './logs.js'
import { boxState, type ContainerState, exitOf, isBeingRemoved, toMillis } from './records.js'

/** How often a removal is asked for before the engine's refusal counts. */
const REMOVALS = 3
/** How often, and after which pause, a name that is taken by nothing that can be seen is tried again: for 10 s. */
export const RESERVED_ATTEMPTS = 200
export const RESERVED_PAUSE_MS = 50
const NOT_EXECUTABLE = 126
const NOT_FOUND = 127
const COMMAND_NOT_RUN: ReadonlySet<number> = new Set([NOT_EXECUTABLE, NOT_FOUND])

/**
 * Takes boxes from state to state. When the engine refuses, what counts is the state it is in afterwards: somebody may
 * have done the same a moment ago, and the engine's refusals tell that apart only in words.
 */
export class Lifecycle {
  readonly #containers: Containers
  readonly #logs: Logs

  constructor(containers: Containers, logs: Logs) {
    this.#containers = containers
    this.#logs = logs
  }

  async start(ref: BoxRef, options: DriverCall): Promise<{ startedAt: number; already: boolean }> {
    const refusal = await this.#containers.attempt(
      'start a box',
      ref,
      (container, abortSignal) => container.start({ abortSignal }),
      options,
    )
    let state = await this.#stateOf(ref, options)
    if (refusal && state && boxState(state) === 'paused') {
      await this.resume(ref, options)
      state = await this.#stateOf(ref, options)
    }
    if (!state) throw boxGone(ref)
    // A life that has ended by now was one; but behind these codes of the box's init, the command never ran.
    const ran = state.Running || (!refusal && !COMMAND_NOT_RUN.has(state.ExitCode))
    if (ran) return { startedAt: toMillis(state.StartedAt), already: refusal !== undefined }
    if (!isHalfStarted(refusal)) throw await this.#startFailed(ref, state, refusal)
    await this.remove(ref, options)
    throw boxFailed(
      ref,
      'was half started when the engine was killed, and could never be started again: it was removed. Its next wake makes a new one.',
      { phase: 'start' },
      refusal.error,
    )
  }

  async pause(ref: BoxRef, options: DriverCall): Promise<void> {
    const refusal = await this.#containers.attempt(
      'pause a box',
      ref,
      (container, abortSignal) => container.pause({ abortSignal }),
      options,
    )
    if (refusal) await this.#assertState('paused', ref, refusal, options)
  }

  async resume(ref: BoxRef, options: DriverCall): Promise<void> {
    const refusal = await this.#containers.attempt(
      'resume a box',
      ref,
      (container, abortSignal) => container.unpause({ abortSignal }),
      options,
    )
    if (refusal) await this.#assertState('running', ref, refusal, options)
  }

  async stop(ref: BoxRef, { signal, graceMs }: DriverCall & { graceMs: number }): Promise<void> {
    const refusal = await this.#containers.attempt(
      'stop a box',
      ref,
      (container, abortSignal) => container.stop({ t: toSeconds(graceMs), abortSignal }),
      { signal, timeout: toSeconds(graceMs) * 1000 + this.#containers.engine.timeout },
    )
    if (!refusal || refusal.status === 304 || refusal.status === 404) return
    const state = await this.#stateOf(ref, { signal })
    if (state?.Running) throw refusal.error
  }

  async remove(ref: BoxRef, options: DriverCall): Promise<void> {
    for (let attempt = 1; ; attempt++) {
      // With v: the volumes that an image declares are the box's alone.
      const refusal = await this.#containers.attempt(
        'remove a box',
        ref,
        (container, abortSignal) => container.remove({ force: true, v: true, abortSignal }),
        options,
      )
      if (!refusal || refusal.status === 404) return
      const container = await this.#containers.inspect(ref.id, options)
      if (!container) return
      if (container.State.Status === 'removing') return this.#containers.waitUntilRemoved(ref, options)
      if (attempt === REMOVALS) throw refusal.error
    }
  }

  setAside(ref: BoxRef, options: DriverCall): Promise<void> {
    return this.#rename(ref, asideName(this.#containers.pool.name, ref.slug), options)
  }

  restore(ref: BoxRef, options: DriverCall): Promise<void> {
    return this.#rename(ref, boxName(this.#containers.pool.name, ref.slug), options)
  }

  async #rename(ref: BoxRef, name: string, options: DriverCall): Promise<void> {
    for (let attempt = 1; ; attempt++) {
      const refusal = await this.#containers.attempt(
        'rename a box',
        ref,
        (container, abortSignal) => container.rename({ name, abortSignal }),
        options,
      )
      if (!refusal) return
      const container = await this.#containers.inspect(ref.id, options)
      if (!container) throw boxGone(ref)
      if (container.Name === `/${name}`) return
      if (!(await this.#isReserved(name, refusal, options)) || attempt === RESERVED_ATTEMPTS)
        throw boxFailed(
          ref,
          `cannot be renamed to ${name}: ${refusal.message}. Remove what has that name at the engine.`,
          { phase: 'create' },
          refusal.error,
        )
      await setTimeout(RESERVED_PAUSE_MS, undefined, { signal: options.signal })
    }
  }

  /** Whether a name is taken by a box that is just being made: the engine shows it later. */
  async #isReserved(name: string, { status }: Refused, options: DriverCall): Promise<boolean> {
    return status === 409 && !(await this.#containers.inspect(name, options))
  }

  /** Undefined when the box is gone, or as good as gone. */
  async #stateOf(ref: BoxRef, options: DriverCall): Promise<ContainerState | undefined> {
    const container = await this.#containers.inspect(ref.id, options)
    return container && !isBeingRemoved(container.State) ? container.State : undefined
  }

  async #assertState(
    wanted: 'running' | 'paused',
    ref: BoxRef,
    refusal: Refused,
    options: DriverCall,
  ): Promise<void> {
    const state = await this.#stateOf(ref, options)
    if (!state) throw boxGone(ref)
    if (boxState(state) === wanted) return
    throw boxFailed(
      ref,
      `is ${boxState(state)} and cannot be made ${wanted}: ${refusal.message}.`,
      { phase: 'start', ...exitOf(state) },
      refusal.error,
    )
  }

  async #startFailed(
    ref: BoxRef,
    state: ContainerState,
    refusal: Refused | undefined,
  ): Promise<TenantBoxError<'START_FAILED'>> {
    const exit = exitOf(state)
    const code = exit?.code ?? (state.ExitCode || undefined)
    const lastLogs = exit ? await this.#logs.lastLines(ref) : []
    const details = {
      phase: 'start',
      ...(code === undefined ? {} : { code }),
      oom: state.OOMKilled,
      lastLogs,
    } as const
    return boxFailed(
      ref,
      `did not start: ${whyNotStarted(refusal?.message ?? state.Error, code)}`,
      details,
      refusal,
    )
  }
}

/**
 * Whether the engine stumbles over what is left of an earlier start that it was killed in: a task without a process, which
 * it does not remove. Such a box is refused for ever.
 */
function isHalfStarted(refusal: Refused | undefined): refusal is Refused {
  return refusal !== undefined && /\btask [0-9a-f]+: already exists/.test(refusal.message)
}

/** As runc puts it, in quotes that older ones escape, and as the engine itself does. */
const FAILED_MOUNT =
  /\bmounting \\?"(?<byRunc>.+?)\\?" to rootfs at |\bmount (?<byEngine>\/.*?):\/.*, flags: /

/** What to do about a failed start, by what the engine and the exit code tell. */
export function whyNotStarted(message: string, code: number | undefined): string {
  const said =
    message === '' ? `it ended at once with exit code ${code ?? 'unknown'}` : message.replace(/[.\s]*$/, '')
  // Before the codes: the engine gives a failed mount those of a command that was not run.
  const mount = FAILED_MOUNT.exec(message)?.groups
  if (mount)
    return `${said}. Check the one of box.mounts that has the host's ${mount.byRunc ?? mount.byEngine}: a folder is mounted on a folder, a file on a file.`
  if (/no command specified/i.test(message))
    return `${said}. The image has none of its own: set box.command, or give it a CMD.`
  if (code === NOT_FOUND || /executable file not found|no such file or directory/.test(message))
    return `${said}. The image lacks the command: check box.command and box.image.`
  if (code === NOT_EXECUTABLE) return `${said}. The command is not executable for the box's user.`
  if (/bind source path does not exist/.test(message))
    return `${said}. The engine does not see that folder: check box.mounts or, if the gateway runs in a container or elsewhere, set docker({ hostDataDir }).`
  return `${said}.`
}
