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
import { refusalOf } from '../sending/refusal.js'
import type { TenantRecord } from '../sending/tenant-record.js'
import { showTyping } from '../sending/typing.js'
import type { Handling } from './handling.js'
import type { RunningAnswers } from './running-answers.js'

/** More than so many UTF-16 units at once, about ten messages, nobody reads in a chat. */
const LONGEST_ANSWER = 40_000
const MAX_REPORT_CHARACTERS = 1_024
/** So many files at once: as many as an agent that speaks first may send along. */
const MOST_FILES = 100
/** Who has a file that is not there sent again and again must not fill the gateway's log. */
const FAILED_FILE_REST_MS = 1_000
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
   * Asks the tenant's agent and shows what it answers, while it does. Resolves also when the answer was cancelled: what
   * had been said until then stays.
   */
  async answer(handling: Handling, outgoing: Outgoing, compose: () => Promise<AgentMessage>): Promise<void> {
    const { pool, clock, running } = this.#host
    const { tenant } = handling
    using answer = running.begin(tenant)
    const stopTyping = showTyping(outgoing.chat, clock)
    const show = new Shown(() => this.#liveText(outgoing), this.#host.warn, tenant)
    try {
      const signal = AbortSignal.any([handling.signal, answer.signal])
      for await (const event of pool.send(tenant, await compose(), { signal })) {
        if (event.type === 'error') throw agentError(tenant, event)
        const text = this.#host.render(event)
        if (text && !show.append(text)) break
        if (event.type === 'file') {
          if (!show.takesFile()) break
          await show.finish()
          await this.sendFile(handling, outgoing, show.captioned(event.file))
        }
      }
      await show.finish()
    } catch (error) {
      // What was said before it ended; why it ended is what counts.
      await show.finish().catch(() => undefined)
      if (!answer.signal.aborted || handling.signal.aborted) throw error
    } finally {
      stopTyping()
    }
  }

  /** Shows a text and files as they are. */
  async say(
    handling: Handling,
    outgoing: Outgoing,
    { text, files = [] }: { text: string; files?: readonly AgentFile[] },
  ): Promise<void> {
    const { clock, warn } = this.#host
    const live = () => new LiveText({ outgoing, pace: this.#pace, clock, stream: false, everyMs: 0 })
    const show = new Shown(live, warn, handling.tenant)
    show.append(text)
    await show.finish()
    for (const file of files) await this.sendFile(handling, outgoing, show.captioned(file))
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
      this.#pace.rest(tenant, FAILED_FILE_REST_MS)
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

  #liveText(outgoing: Outgoing): LiveText {
    const { clock, stream, editEveryMs } = this.#host
    const isPrivate = outgoing.chat.place.chat > 0
    return new LiveText({
      outgoing,
      pace: this.#pace,
      clock,
      stream: stream === 'draft' && !isPrivate ? 'edit' : stream,
      everyMs: editEveryMs ?? (isPrivate ? PRIVATE_EVERY_MS : GROUP_EVERY_MS),
    })
  }
}

/** The texts of one answer, each of which a file ends, and the files with their captions. Bounded in all. */
class Shown {
  readonly #make: () => LiveText
  readonly #warn: Warn
  readonly #tenant: string
  #live: LiveText | undefined
  #left = LONGEST_ANSWER
  #files = 0

  constructor(make: () => LiveText, warn: Warn, tenant: string) {
    this.#make = make
    this.#warn = warn
    this.#tenant = tenant
  }

  /** Returns whether there is room for more. */
  append(text: string): boolean {
    this.#live ??= this.#make()
    this.#live.append(this.#cut(text))
    return this.#left >= 0
  }

  /** Returns whether there may be one more. */
  takesFile(): boolean {
    this.#files++
    if (this.#files <= MOST_FILES) return true
    this.#cutOff(`More than ${MOST_FILES} files were to be sent to`)
    return false
  }

  captioned({ caption, ...file }: AgentFile): AgentFile {
    return caption === undefined ? file : { ...file, caption: this.#cut(caption) }
  }

  #cut(text: string): string {
    const room = this.#left
    this.#left -= text.length
    if (text.length <= room) return text
    if (room < 0) return ''
    this.#cutOff(`More than ${LONGEST_ANSWER} characters were to be shown to`, ' Have a file sent.')
    return `${text.slice(0, room).replace(/[\uD800-\uDBFF]$/, '')}…`
  }

  #cutOff(what: string, advice = ''): void {
    const tenant = this.#tenant
    const message = `${what} tenant ${JSON.stringify(tenant)} at once: the rest was cut off.${advice}`
    this.#warn('ANSWER_CUT', message, { tenant })
  }

  async finish(): Promise<void> {
    const live = this.#live
    this.#live = undefined
    await live?.finish()
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
