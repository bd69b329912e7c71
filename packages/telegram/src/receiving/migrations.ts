import { randomUUID } from 'node:crypto'
import { mkdir, open, readFile, rename } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import type { Message } from 'grammy/types'

const FILE = 'migrations.json'

/** Which chat a supergroup was before: it stays the tenant that it was. */
export class Migrations {
  readonly #path: string
  readonly #origins = new Map<number, number>()

  constructor(directory: string) {
    this.#path = join(directory, FILE)
  }

  async load(): Promise<void> {
    await mkdir(dirname(this.#path), { recursive: true, mode: 0o700 })
    for (const [to, origin] of await readPairs(this.#path)) this.#origins.set(to, origin)
  }

  /** The id that the chat had when it first came. */
  originOf(chat: number): number {
    return this.#origins.get(chat) ?? chat
  }

  /** Notes what a message says of a migration; resolves once that is durable. */
  async note({ chat, migrate_to_chat_id: to, migrate_from_chat_id: from }: Message): Promise<void> {
    if (to !== undefined) await this.add(chat.id, to)
    if (from !== undefined) await this.add(from, chat.id)
  }

  async add(from: number, to: number): Promise<void> {
    const origin = this.originOf(from)
    if (this.#origins.get(to) === origin || origin === to) return
    this.#origins.set(to, origin)
    await replace(this.#path, JSON.stringify([...this.#origins]))
  }
}

async function readPairs(path: string): Promise<[number, number][]> {
  try {
    return JSON.parse(await readFile(path, 'utf8')) as [number, number][]
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return []
    throw error
  }
}

async function replace(path: string, text: string): Promise<void> {
  const temporary = `${path}.${randomUUID()}`
  await using file = await open(temporary, 'wx', 0o600)
  await file.writeFile(text)
  await file.sync()
  await rename(temporary, path)
  await using directory = await open(dirname(path))
  await directory.sync()
}
