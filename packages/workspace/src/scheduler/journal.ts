import { randomUUID } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { type FileHandle, mkdir, open, readdir, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { errnoOf, systemFailure, WorkspaceError } from '../errors.js'
import { isObject } from '../json.js'
import { type Entry, type IsObsolete, Ledger } from './ledger.js'

const FILE = 'journal.jsonl'
/** Ends the name of a journal that is not complete yet. */
const STAGED = '.new'
const COMPACT_BYTES = 1024 * 1024

interface Batch {
  text: string
  durable: boolean
  readonly written: PromiseWithResolvers
}

interface PromiseWithResolvers {
  readonly promise: Promise<void>
  readonly resolve: () => void
  readonly reject: (error: unknown) => void
}

/**
 * The scheduler's state on the disk: a line for every claim and every confirmation. Claims of many tenants at the same
 * moment share one `fdatasync`. Every now and then it is replaced, in one step, by the few lines that lead to the same
 * state. A torn last line was never acted upon, so it is passed over.
 */
export class Journal {
  readonly ledger: Ledger
  readonly #directory: string
  readonly #isObsolete: IsObsolete
  #handle: FileHandle | undefined
  #bytes = 0
  #compacted = 0
  #batch: Batch | undefined
  #writing: Promise<void> | undefined

  private constructor(directory: string, ledger: Ledger, isObsolete: IsObsolete) {
    this.#directory = directory
    this.ledger = ledger
    this.#isObsolete = isObsolete
  }

  /** Reads what an earlier process has left, and takes over from it. Asks `isObsolete` when it is time to forget. */
  static async open(directory: string, isObsolete: IsObsolete): Promise<Journal> {
    try {
      await mkdir(directory, { recursive: true, mode: 0o700 })
      // Left behind by who died while writing one.
      for (const name of await readdir(directory)) if (name.endsWith(STAGED)) await rm(join(directory, name))
      const journal = new Journal(directory, await read(join(directory, FILE)), isObsolete)
      await journal.#compact()
      return journal
    } catch (error) {
      throw systemFailure(error, directory)
    }
  }

  /** Resolves once the entries are on the disk, and with them the state they lead to. */
  record(entries: readonly Entry[]): Promise<void> {
    for (const entry of entries) this.ledger.apply(entry)
    return this.#write(entries, true)
  }

  /** For what may be lost: it will be written with what comes next. */
  note(entry: Entry): Promise<void> {
    this.ledger.apply(entry)
    return this.#write([entry], false)
  }

  /** False after a failure: then what was recorded last may not be on the disk until something else is. */
  get isSound(): boolean {
    return this.#handle !== undefined
  }

  async close(): Promise<void> {
    await this.#writing
    await this.#handle?.close()
    this.#handle = undefined
  }

  #write(entries: readonly Entry[], durable: boolean): Promise<void> {
    this.#batch ??= { text: '', durable: false, written: promiseWithResolvers() }
    this.#batch.text += entries.map(lineOf).join('')
    this.#batch.durable ||= durable
    const { promise } = this.#batch.written
    this.#writing ??= this.#writeBatches()
    return promise
  }

  async #writeBatches(): Promise<void> {
    // Whatever else is recorded in this turn goes into the same batch.
    await Promise.resolve()
    for (let batch = this.#batch; batch; batch = this.#batch) {
      this.#batch = undefined
      try {
        await this.#writeBatch(batch)
        batch.written.resolve()
      } catch (error) {
        // What is in the file now is uncertain, so the next batch replaces it.
        await this.#abandon()
        batch.written.reject(systemFailure(error, join(this.#directory, FILE)))
      }
    }
    this.#writing = undefined
  }

  async #writeBatch({ text, durable }: Batch): Promise<void> {
    await this.#assertOwner()
    const isLarge = this.#bytes > COMPACT_BYTES && this.#bytes > 4 * this.#compacted
    if (isLarge) this.ledger.forget(this.#isObsolete)
    if (!this.#handle || isLarge) return await this.#compact()
    await this.#handle.appendFile(text)
    this.#bytes += text.length
    if (durable) await this.#handle.datasync()
  }

  /** The file is replaced by who takes over: then this process is no longer the one to write. */
  async #assertOwner(): Promise<void> {
    if (this.#handle && (await this.#handle.stat()).nlink === 0) throw superseded(this.#directory)
  }

  async #compact(): Promise<void> {
    const name = join(this.#directory, FILE)
    const staged = `${name}.${randomUUID()}${STAGED}`
    const fresh = await open(staged, 'wx', 0o600)
    try {
      this.#bytes = 0
      let text = ''
      for (const entry of this.ledger.entries()) {
        text += lineOf(entry)
        if (text.length < COMPACT_BYTES) continue
        await fresh.appendFile(text)
        this.#bytes += text.length
        text = ''
      }
      await fresh.appendFile(text)
      this.#bytes += text.length
      await fresh.sync()
      await rename(staged, name)
      await syncDirectory(this.#directory)
    } catch (error) {
      await fresh.close()
      await rm(staged, { force: true })
      throw error
    }
    this.#compacted = this.#bytes
    await this.#handle?.close()
    this.#handle = fresh
  }

  async #abandon(): Promise<void> {
    if (!this.#handle) return
    // Kept while it says that another has taken over; closed in any other case, which makes the next batch compact.
    if ((await this.#handle.stat()).nlink === 0) return
    await this.#handle.close()
    this.#handle = undefined
  }
}

function lineOf(entry: Entry): string {
  return `${JSON.stringify(entry)}\n`
}

async function read(path: string): Promise<Ledger> {
  const ledger = new Ledger()
  try {
    const lines = createInterface({ input: createReadStream(path), crlfDelay: Number.POSITIVE_INFINITY })
    for await (const line of lines) {
      const entry = parse(line)
      if (entry) ledger.apply(entry)
    }
  } catch (error) {
    if (errnoOf(error) !== 'ENOENT') throw error
  }
  return ledger
}

function parse(line: string): Entry | undefined {
  try {
    const value: unknown = JSON.parse(line)
    return isObject(value) && typeof value.tenant === 'string' ? (value as unknown as Entry) : undefined
  } catch {
    // Torn by a crash: nobody was told that it had been written.
    return undefined
  }
}

async function syncDirectory(path: string): Promise<void> {
  const directory = await open(path, 'r')
  try {
    await directory.sync()
  } finally {
    await directory.close()
  }
}

function promiseWithResolvers(): PromiseWithResolvers {
  let resolve = (): void => {}
  let reject = (_error: unknown): void => {}
  const promise = new Promise<void>((onResolve, onReject) => {
    resolve = onResolve
    reject = onReject
  })
  return { promise, resolve, reject }
}

function superseded(directory: string): WorkspaceError<'CLOSED'> {
  return new WorkspaceError(
    'CLOSED',
    `Another scheduler has taken over ${directory}. Give each scheduler a stateDir of its own.`,
    {},
  )
}
