import {
  type AgentEvent,
  type AgentFile,
  type AgentMessage,
  type Clock,
  isTenantBoxError,
  type TenantPool,
} from '@tenantbox/core'
import { isWorkspaceError, Workspace } from '@tenantbox/workspace'
import type { Api } from 'grammy'
import { TelegramError } from '../common/errors.js'
import type { Warn } from '../common/warnings.js'
import { Chat } from '../sending/chat.js'
import { sendWorkspaceFile } from '../sending/files-out.js'
import { LiveText } from '../sending/live-text.js'
import { Outgoing } from '../sending/outgoing.js'
import { Pace } from '../sending/pace.js'
import type { Place } from '../sending/place.js'
import { isAway, refusalOf } from '../sending/refusal.js'
import { Cut, LONGEST_ANSWER, type Said } from '../sending/said.js'
import type { TenantRecord } from '../sending/tenant-record.js'
import { showTyping } from '../sending/typing.js'
import type { Handling } from './handling.js'
import { Heard, MOST_FILES } from './heard.js'
import type { RunningAnswers } from './running-answers.js'

const MAX_REPORT_CHARACTERS = 1_024
/**
 * What a file that cannot be sent counts as, so that nobody fills the gateway's log with them: ten at once, then one a
 * second.
 */
const FAILED_FILE_MS = 10
const PRIVATE_EVERY_MS = 1_000
/** Telegram takes about 20 messages a minute in a group, and edits count. */
const GROUP_EVERY_MS = 3_000

export interface AnsweringHost {
  readonly api: Api
  readonly pool: TenantPool
  readonly clock: Clock
  readonly record: TenantRecord
  readonly running: RunningAnswers
  readonly warn: Warn
  readonly stream: 'edit' | 'draft' | false
  readonly editEveryMs: number | undefined
  readonly maxFileBytes: number | undefined
  readonly render: (event: AgentEvent) => string | undefined
  readonly onMoved: (from: number, to: number) => Promise<void>
}

/** Brings what agents and apps say into chats. */
export class Answering {
  readonly #host: AnsweringHost
  readonly #pace: Pace

  constructor(host: AnsweringHost) {
    this.#host = host
    this.#pace = new Pace(host.clock)
  }

  /**
   * Asks the tenant's agent and shows what it answers, while it does. An answer that an attempt before has heard to its end
   * is shown without asking again. Resolves also when the answer was cancelled: what had been said until then stays.
   *
   * @param id of the message that `compose` makes
   */
  async answer(
    handling: Handling,
    outgoing: Outgoing,
    id: string,
    compose: () => Promise<AgentMessage>,
  ): Promise<void> {
    const before = outgoing.answerTo(id)
    if (before) return this.#show(handling, outgoing, before)
    const { clock, running } = this.#host
    using answer = running.begin(handling.tenant)
    const stopTyping = showTyping(outgoing.chat, clock)
    const stop = new AbortController()
    const signal = AbortSignal.any([handling.signal, answer.signal, stop.signal])
    const heard = new Heard(() => this.#warnOfCut(handling.tenant))
    const hearing = this.#hear(handling.tenant, compose, signal, heard)
    try {
      await this.#show(handling, outgoing, heard)
    } catch (error) {
      // Whoever cannot be told now is told later, and needs all of it then.
      if (isAway(error)) await hearing
      const isCancelled = answer.signal.aborted && !handling.signal.aborted
      if (!isCancelled || heard.whole) throw error
    } finally {
      stop.abort()
      await hearing
      stopTyping()
      if (heard.whole) outgoing.keep(id, heard.whole)
    }
  }

  /** Shows a text and files as they are. */
  async say(
    handling: Handling,
    outgoing: Outgoing,
    { text, files = [] }: { text: string; files?: readonly AgentFile[] },
  ): Promise<void> {
    const cut = new Cut(() => this.#warnOfCut(handling.tenant))
    const said = [{ text: cut.text(text) }, ...files.map((file) => ({ file: cut.captioned(file) }))]
    await this.#show(handling, outgoing, said, false)
  }

  /** A file that cannot be read or sent is reported; what else is sent does not suffer from it. */
  async sendFile(handling: Handling, outgoing: Outgoing, file: AgentFile): Promise<void> {
    const { pool, maxFileBytes, warn } = this.#host
    const { tenant } = handling
    if (maxFileBytes === undefined) return
    try {
      const directory = pool.get(tenant)?.workspaceDir ?? (await handling.box()).workspaceDir
      const how = { pace: this.#pace, maxBytes: maxFileBytes }
      await sendWorkspaceFile(outgoing, await Workspace.open(directory), file, how)
    } catch (cause) {
      const isFiles =
        isWorkspaceError(cause) ||
        isTenantBoxError(cause, 'TOO_LARGE') ||
        refusalOf(cause)?.kind === 'refused'
      if (!isFiles) throw cause
      const what = `A file of tenant ${JSON.stringify(tenant)}'s agent was not sent: see the cause.`
      warn('FILE_NOT_SENT', what, { tenant, cause })
      this.#pace.charge(tenant, FAILED_FILE_MS)
    }
  }

  /** What one handling sends to a place. To be finished when the handling has succeeded. */
  outgoing(handling: Handling, place: Place): Outgoing {
    const { api, clock, record, onMoved } = this.#host
    const { tenant, id, signal } = handling
    const moved = async (from: number, to: number): Promise<void> => {
      record.moveChat(tenant, from, to)
      await onMoved(from, to)
    }
    const chat = new Chat({ api, tenant, place, signal, clock, onMoved: moved })
    return new Outgoing(chat, id, record.sent(tenant, id), (sent) => record.noteSent(tenant, sent))
  }

  /** Hears the agent out, however slowly its answer can be shown. Never rejects. */
  async #hear(
    tenant: string,
    compose: () => Promise<AgentMessage>,
    signal: AbortSignal,
    heard: Heard,
  ): Promise<void> {
    const { pool, render } = this.#host
    try {
      for await (const event of pool.send(tenant, await compose(), { signal })) {
        if (event.type === 'error') throw agentError(tenant, event)
        const text = render(event)
        if (text) heard.text(text)
        if (event.type === 'file') heard.file(event.file)
        if (heard.isFull) break
      }
      heard.end()
    } catch (error) {
      heard.fail(error)
    }
  }

  async #show(
    handling: Handling,
    outgoing: Outgoing,
    all: AsyncIterable<Said> | Iterable<Said>,
    stream = this.#host.stream,
  ): Promise<void> {
    let live: LiveText | undefined
    const finish = async (): Promise<void> => {
      const finished = live
      live = undefined
      await finished?.finish()
    }
    try {
      for await (const said of all) {
        if ('file' in said) {
          await finish()
          await this.sendFile(handling, outgoing, said.file)
        } else {
          live ??= this.#liveText(outgoing, stream)
          live.append(said.text)
        }
      }
      await finish()
    } catch (error) {
      // What was said before it ended; why it ended is what counts.
      await finish().catch(() => undefined)
      throw error
    }
  }

  #liveText(outgoing: Outgoing, stream: 'edit' | 'draft' | false): LiveText {
    const { clock, editEveryMs } = this.#host
    const isPrivate = outgoing.chat.place.chat > 0
    return new LiveText({
      outgoing,
      pace: this.#pace,
      clock,
      stream: stream === 'draft' && !isPrivate ? 'edit' : stream,
      everyMs: editEveryMs ?? (isPrivate ? PRIVATE_EVERY_MS : GROUP_EVERY_MS),
    })
  }

  #warnOfCut(tenant: string): void {
    this.#host.warn(
      'ANSWER_CUT',
      `More than ${LONGEST_ANSWER} characters or ${MOST_FILES} files were to be shown to tenant ${JSON.stringify(tenant)} at once: the rest was cut off. Have a file sent.`,
      { tenant },
    )
  }
}

function agentError(
  tenant: string,
  { message, retryable }: Extract<AgentEvent, { type: 'error' }>,
): TelegramError {
  // The tenant's own words, in what somebody may print.
  const report = message
    .slice(0, MAX_REPORT_CHARACTERS)
    .replace(/[\p{Cc}\p{Bidi_Control}\u2028\u2029]/gu, ' ')
  return new TelegramError(
    'AGENT_ERROR',
    `The agent of tenant ${JSON.stringify(tenant)} reported an error: see the cause.`,
    { tenant, cause: new Error(report), retryable: retryable ?? false },
  )
}
