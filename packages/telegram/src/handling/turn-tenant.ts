import type { AgentFile, AgentMessage, TenantBox, TenantInfo, TenantPool } from '@tenantbox/core'
import { Workspace } from '@tenantbox/workspace'
import type { Context, Context as GrammyContext } from 'grammy'
import { TelegramError } from '../common/errors.js'
import type { Outgoing } from '../sending/outgoing.js'
import type { Place } from '../sending/place.js'
import type { Answering } from './answering.js'
import { type DownloadOptions, download } from './download.js'
import type { Handling } from './handling.js'
import { incomingFiles, incomingMessage } from './incoming.js'
import type { RunningAnswers } from './running-answers.js'
import type { TenantContext } from './tenant-context.js'

export interface TurnTenantHost {
  readonly pool: TenantPool
  readonly answering: Answering
  readonly running: RunningAnswers
  readonly tenantIsChat: boolean
  /** Undefined: no files. */
  readonly downloads: Omit<DownloadOptions, 'signal'> | undefined
}

/** The tenant of an update while the bot handles it. */
export class TurnTenant implements TenantContext {
  readonly id: string
  readonly attempt: number
  readonly signal: AbortSignal
  readonly #handling: Handling
  readonly #parts: readonly [Context, ...Context[]]
  readonly #place: Place | undefined
  readonly #host: TurnTenantHost
  #outgoing: Outgoing | undefined
  #answers = 0

  /** @param parts the update; of an album, all of them */
  constructor(
    handling: Handling,
    parts: readonly [GrammyContext, ...GrammyContext[]],
    place: Place | undefined,
    host: TurnTenantHost,
  ) {
    this.id = handling.tenant
    this.attempt = handling.attempt
    this.signal = handling.signal
    this.#handling = handling
    this.#parts = parts
    this.#place = place
    this.#host = host
  }

  async answer(message: Partial<AgentMessage> = {}): Promise<void> {
    const { tenantIsChat, answering } = this.#host
    const incoming = incomingMessage(this.#parts, this.#handling.id, this.#place, tenantIsChat)
    // Another answer of the same turn is another message.
    const own = this.#answers++ === 0 ? incoming.id : `${incoming.id}#${this.#answers}`
    const id = message.id ?? own
    await answering.answer(this.#handling, this.#toChat(), id, async () => {
      const files = message.files ?? (await this.#fetchFiles())
      return {
        ...incoming,
        attempt: this.attempt,
        ...definedOf(message),
        id,
        ...(files.length > 0 ? { files } : {}),
      }
    })
  }

  cancel(): boolean {
    return this.#host.running.cancel(this.id)
  }

  async box<T>(work: (box: TenantBox, signal: AbortSignal) => Promise<T>): Promise<T> {
    return work(await this.#handling.box(), this.signal)
  }

  info(): TenantInfo | undefined {
    return this.#host.pool.get(this.id)
  }

  async workspace(): Promise<Workspace> {
    const directory = this.info()?.workspaceDir ?? (await this.#handling.box()).workspaceDir
    return Workspace.open(directory, { tenant: this.id })
  }

  async sendFile(file: AgentFile): Promise<void> {
    await this.#host.answering.sendFile(this.#handling, this.#toChat(), file)
  }

  async forget(): Promise<void> {
    this.cancel()
    await this.#host.pool.remove(this.id, { data: 'delete', leases: 'abort' })
  }

  /** The handling has succeeded. */
  async finish(): Promise<void> {
    await this.#outgoing?.finish()
  }

  /** It has failed, and may be tried again. */
  interrupted(): void {
    this.#outgoing?.interrupted()
  }

  #toChat(): Outgoing {
    if (!this.#place)
      throw new TelegramError(
        'NO_CHAT',
        `This update of tenant ${JSON.stringify(this.id)} came from no chat, and none is known: there is nowhere to answer.`,
        { tenant: this.id },
      )
    this.#outgoing ??= this.#host.answering.outgoing(this.#handling, this.#place)
    return this.#outgoing
  }

  async #fetchFiles(): Promise<AgentFile[]> {
    const { downloads } = this.#host
    const incoming = downloads ? incomingFiles(this.#parts) : []
    if (!downloads || incoming.length === 0) return []
    // Awake before: the workspace's owner is set by then.
    const workspace = await Workspace.open((await this.#handling.box()).workspaceDir)
    const files: AgentFile[] = []
    for (const { attachment, file } of incoming) {
      const bytes = await download(attachment, file.path, workspace, { ...downloads, signal: this.signal })
      files.push({ ...file, bytes })
    }
    return files
  }
}

/** An explicit `undefined` is no value. */
function definedOf(message: Partial<AgentMessage>): Partial<AgentMessage> {
  return Object.fromEntries(Object.entries(message).filter(([, value]) => value !== undefined))
}
