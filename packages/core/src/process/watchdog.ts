import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { hostPath, SWEEP } from './sweep.js'

/**
 * Reads what there is to end, and ends it when its input ends: that happens however the gateway ends, also by SIGKILL,
 * as the kernel then closes the other side.
 */
const SCRIPT = `${SWEEP}
trap '' HUP INT TERM
groups=
folder=
while read -r verb value; do
  case $verb in
    guard) groups="$groups $value" ;;
    release)
      kept=
      for group in $groups; do [ "$group" = "$value" ] || kept="$kept $group"; done
      groups=$kept
      ;;
    remove) folder=$value ;;
  esac
done
for group in $groups; do kill -s KILL -- "-$group" 2>/dev/null; done
sweep "$1" none
[ -z "$folder" ] || rm -rf -- "$folder"
`

/** A small process that outlives this one, to end what this one leaves behind. */
export class Watchdog {
  readonly #mark: string
  readonly #groups = new Set<number>()
  #folder: string | undefined
  #child: ChildProcess | undefined
  #beginning: Promise<void> | undefined

  /** @param mark What the marks of all that it guards begin with. */
  constructor(mark: string) {
    this.#mark = mark
  }

  /** Makes sure that it watches. Whatever is guarded after that ends with this process. */
  async watch(): Promise<void> {
    if (this.#child) return
    this.#beginning ??= this.#begin().finally(() => {
      this.#beginning = undefined
    })
    await this.#beginning
  }

  /** A process group to be killed. */
  guard(pid: number): void {
    this.#groups.add(pid)
    this.#tell('guard', pid)
  }

  /** It has ended: its number may soon be another's. */
  release(pid: number): void {
    this.#groups.delete(pid)
    this.#tell('release', pid)
  }

  /** A folder to be removed. */
  remove(path: string): void {
    this.#folder = path
    this.#tell('remove', path)
  }

  /** Lets it do its work now, and end. */
  async end(): Promise<void> {
    const child = this.#child
    if (!child) return
    const exited = once(child, 'exit')
    child.ref()
    child.stdin?.end()
    await exited
    this.#folder = undefined
  }

  async #begin(): Promise<void> {
    const child = spawn('/bin/sh', ['-c', SCRIPT, 'sh', this.#mark], {
      env: hostPath(),
      stdio: ['pipe', 'ignore', 'ignore'],
      // Out of reach of what a terminal sends to this process's group.
      detached: true,
    })
    // Somebody killed it: the next start begins another.
    child.once('exit', () => {
      this.#child = undefined
    })
    child.stdin?.on('error', () => undefined)
    child.unref()
    await once(child, 'spawn')
    this.#child = child
    if (this.#folder !== undefined) this.#tell('remove', this.#folder)
    for (const pid of this.#groups) this.#tell('guard', pid)
  }

  #tell(verb: 'guard' | 'release' | 'remove', value: string | number): void {
    this.#child?.stdin?.write(`${verb} ${value}\n`)
  }
}
