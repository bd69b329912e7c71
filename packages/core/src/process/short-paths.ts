import { mkdtemp, symlink } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/** What a socket's address can hold, less the NUL at its end. */
const LONGEST_ADDRESS = process.platform === 'linux' ? 107 : 103
/** The longest name of a socket below a tenant's folder. */
const LONGEST_SOCKET = 'gateway/gateway.sock'
const SHORT_TMP = '/tmp'

/**
 * Ways to tenants' folders that are short enough for an agent to listen and connect by: the folder's own path where it
 * is, else a symlink in a temporary folder that only this user can change.
 */
export class ShortPaths {
  readonly #onFolder: (path: string) => void
  readonly #links = new Map<string, Promise<string>>()
  #folder: Promise<string> | undefined

  /** @param onFolder Told of the temporary folder, which somebody must remove in the end. */
  constructor(onFolder: (path: string) => void) {
    this.#onFolder = onFolder
  }

  async to(folder: string): Promise<string> {
    if (fits(folder)) return folder
    const known = this.#links.get(folder)
    if (known) return known
    const link = this.#link(folder, String(this.#links.size))
    this.#links.set(folder, link)
    return link
  }

  async #link(folder: string, name: string): Promise<string> {
    this.#folder ??= this.#makeFolder()
    const path = join(await this.#folder, name)
    await symlink(folder, path)
    return path
  }

  async #makeFolder(): Promise<string> {
    const name = 'tenantbox-'
    const parent = fits(join(tmpdir(), `${name}XXXXXX`, '1000000')) ? tmpdir() : SHORT_TMP
    const folder = await mkdtemp(join(parent, name))
    this.#onFolder(folder)
    return folder
  }
}

function fits(folder: string): boolean {
  return Buffer.byteLength(join(folder, LONGEST_SOCKET)) <= LONGEST_ADDRESS
}
