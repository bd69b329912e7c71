/**
 * Stands in for `node:fs/promises`: the real files, reached synchronously. The turns that the thread pool takes depend on
 * the machine, and with them which of two steps comes first; here the same seed is the same run. A process that was
 * killed never hears of a call again, and what is written is dated by its clock.
 */
import * as fs from 'node:fs'
import { type HostProcess, ownerOf } from './host.js'

type Path = string | Buffer

/** Steps that another process can see, and between which a crash can come. */
const VISIBLE = new Set(['rename', 'mkdir', 'rmdir'])

function textOf(path: Path): string {
  return typeof path === 'string' ? path : path.toString('latin1')
}

async function alive(process: HostProcess, step: string): Promise<void> {
  if (!process.killed && VISIBLE.has(step)) await process.slowly(step)
  if (process.killed) await new Promise(() => undefined)
}

/** The asynchronous face of a synchronous call whose first argument is a path. */
function call<A extends unknown[], R>(step: string, run: (path: Path, ...rest: A) => R) {
  return async (path: Path, ...rest: A): Promise<R> => {
    await alive(ownerOf(textOf(path)), step)
    return run(path, ...rest)
  }
}

class File {
  readonly fd: number
  readonly #process: HostProcess

  constructor(fd: number, process: HostProcess) {
    this.fd = fd
    this.#process = process
    process.files.add(fd)
  }

  async close(): Promise<void> {
    await alive(this.#process, 'close')
    if (this.#process.lock === this.fd) this.#process.lock = undefined
    this.#process.files.delete(this.fd)
    fs.closeSync(this.fd)
  }

  async stat(options?: fs.StatOptions): Promise<fs.Stats | fs.BigIntStats> {
    await alive(this.#process, 'stat')
    return fs.fstatSync(this.fd, options)
  }

  async chmod(mode: number): Promise<void> {
    await alive(this.#process, 'chmod')
    fs.fchmodSync(this.fd, mode)
  }

  async writeFile(text: string): Promise<void> {
    await alive(this.#process, 'write')
    fs.writeFileSync(this.fd, text)
    const now = this.#process.clock.now() / 1000
    fs.futimesSync(this.fd, now, now)
  }

  async write(text: string): Promise<void> {
    await alive(this.#process, 'write')
    fs.writeSync(this.fd, text)
  }

  async truncate(length: number): Promise<void> {
    await alive(this.#process, 'write')
    fs.ftruncateSync(this.fd, length)
  }

  async read(buffer: Buffer, offset: number, length: number, position: number) {
    await alive(this.#process, 'read')
    return { buffer, bytesRead: fs.readSync(this.fd, buffer, offset, length, position) }
  }

  /** No power is cut here. */
  async sync(): Promise<void> {
    await alive(this.#process, 'sync')
  }

  /** Who owns a file makes no difference to a box in memory, and tests need not be root. */
  async chown(): Promise<void> {
    await alive(this.#process, 'chown')
  }
}

export async function open(path: Path, flags: string | number, mode?: number): Promise<File> {
  const process = ownerOf(textOf(path))
  await alive(process, 'open')
  const file = new File(fs.openSync(path, flags, mode), process)
  if (textOf(path).endsWith('/.tenantbox/lock')) process.lock = file.fd
  return file
}

export const chmod = call('chmod', fs.chmodSync)
export const link = call('rename', (from: Path, to: Path) => fs.linkSync(from, to))
export const lstat = call('lstat', (path: Path, options?: fs.StatSyncOptions) => fs.lstatSync(path, options))
export const mkdir = call('mkdir', (path: Path, options?: fs.MakeDirectoryOptions) =>
  fs.mkdirSync(path, options),
)
export const opendir = call('read', (path: Path) =>
  fs.readdirSync(path, { withFileTypes: true, encoding: 'latin1' }),
)
export const readdir = call('read', (path: Path) => fs.readdirSync(path))
export const readFile = call('read', (path: Path, encoding: BufferEncoding) =>
  fs.readFileSync(path, encoding),
)
export const rename = call('rename', fs.renameSync)
export const rmdir = call('rmdir', (path: Path) => fs.rmdirSync(path))
export const stat = call('stat', (path: Path) => fs.statSync(path))
export const statfs = call('stat', (path: Path) => fs.statfsSync(path))
export const truncate = call('write', (path: Path, length: number) => fs.truncateSync(path, length))
export const unlink = call('unlink', fs.unlinkSync)
export const utimes = call('utimes', fs.utimesSync)
export const writeFile = call('write', fs.writeFileSync)
