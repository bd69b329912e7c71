import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { find, quietly } from './commands.mjs'
import { SetupError } from './terminal.mjs'

/** Whether this machine has Debian's or Ubuntu's packages to offer. */
export function hasApt() {
  if (process.platform !== 'linux' || !['x64', 'arm64'].includes(process.arch)) return false
  if (!['apt-get', 'dpkg-deb', 'ldd'].every((program) => find(program))) return false
  return /^ID(_LIKE)?=.*(debian|ubuntu)/m.test(readFileSync('/etc/os-release', 'utf8'))
}

/** Downloads packages of the distribution with all of apt's own state in `folder`: the system's is only read. */
export class Apt {
  /** @type {string} */
  #folder
  /** @type {AbortSignal} */
  #signal
  #ownLists = false

  /**
   * @param {string} folder
   * @param {AbortSignal} signal
   */
  constructor(folder, signal) {
    this.#folder = folder
    this.#signal = signal
  }

  /**
   * @param {readonly string[]} names
   * @param {string} into a folder to put the .deb files in
   */
  async download(names, into) {
    mkdirSync(into, { recursive: true })
    try {
      return await this.#run(['download', ...names], into)
    } catch (error) {
      if (this.#ownLists || !(error instanceof SetupError)) throw error
    }
    // The system has no lists, or such old ones that the mirror no longer has what they name: so we need our own. One
    // broken source among several does no harm: whether what we need is there shows when it is downloaded.
    this.#ownLists = true
    mkdirSync(join(this.#folder, 'lists/partial'), { recursive: true })
    const trouble = await this.#run(['update'], this.#folder).catch(messageOf)
    try {
      await this.#run(['download', ...names], into)
    } catch (error) {
      throw new SetupError(`${messageOf(error)}\n${trouble}`)
    }
  }

  /**
   * @param {readonly string[]} args
   * @param {string} cwd
   */
  async #run(args, cwd) {
    const file = join(this.#folder, 'apt.conf')
    writeFileSync(file, this.#configuration())
    return quietly('apt-get', ['--config-file', file, '--quiet', ...args], { cwd, signal: this.#signal })
  }

  #configuration() {
    const cache = join(this.#folder, 'cache')
    mkdirSync(join(cache, 'archives/partial'), { recursive: true })
    return [
      `Dir::Cache "${cache}";`,
      ...(this.#ownLists ? [`Dir::State::Lists "${join(this.#folder, 'lists')}";`] : []),
      // No other user to download as: our folder is ours alone.
      'APT::Sandbox::User "root";',
      'Acquire::Languages "none";',
      'Acquire::Retries "2";',
      // A system's own hooks, which could change it.
      ...['Pre-Invoke', 'Post-Invoke', 'Post-Invoke-Success'].map((hook) => `#clear APT::Update::${hook};`),
    ].join('\n')
  }
}

/** @param {unknown} error */
function messageOf(error) {
  return error instanceof Error ? error.message : String(error)
}
