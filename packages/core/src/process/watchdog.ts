import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { SCRIPT_ENV, SWEEP } from './sweep.js'

/**
 * Reads what to end when its input ends: that happens however the gateway ends, also by SIGKILL, as then the kernel
 * closes the other side. The ends of its own life are the gateway's alone to decide.
 */
const SCRIPT = `${SWEEP}
trap '' HUP INT TERM
groups=
folders=
while read -r verb value; do
  case $verb in
    guard) groups="$groups $value" ;;
    release)
      kept=
      for group in $groups; do [ "$group" = "$value" ] || kept="$kept $group"; done
      groups=$kept
      ;;
    remove) folders=$value ;;
  esac
done
for group in $groups; do kill -s KILL -- "-$group" 2>/dev/null; done
sweep "$1" none
[ -z "$folders" ] || rm -rf -- "$folders"
`

/** A small process that outlives this one, to end what this one leaves behind. */
export class Watchdog {
  readonly #mark: string
  readonly #groups = new Set<number>()
  #folder: string | undefined
  #child: ChildProcess | undefined

  /** @param mark What the marks of all that it guards begin with. */
  constructor(mark: string) {
    this.#mark = mark
  }

  /** Makes sure that it watches. Whatever is started after that ends with this process. */
  async watch(): Promise<void> {
    if (this.#child) return
    const child = spawn('/bin/sh', ['-c', SCRIPT, 'sh', this.#mark], {
      env: SCRIPT_ENV,
      stdio: ['pipe', 'ignore', 'ignore'],
      // Out of reach of what a terminal sends to this process's group.
      detached: true,
    })
    this.#child = child
    const forget = (): void => {
      if (this.#child === child) this.#child = undefined
    }
    child.once('exit', forget)
    // Somebody killed it; the next start begins another.
    child.stdin?.on('error', forget)
    child.unref()
    await once(child, 'spawn')
    if (this.#folder) this.#tell('remove', this.#folder)
    for (const pid of this.#groups) this.#tell('guard', pid)
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
    if (!child || child.exitCode !== null) return
    child.ref()
    child.stdin?.end()
    await once(child, 'exit')
    this.#folder = undefined
  }

  #tell(verb: string, value: string | number): void {
    this.#child?.stdin?.write(`${verb} ${value}\n`)
  }
}
