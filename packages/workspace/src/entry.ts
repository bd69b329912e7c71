import type { Json } from './json.js'

/** A piece of what was said. Bytes never stand in the session: a `file` part names a file of the workspace. */
export type Part =
  | { type: 'text'; text: string }
  | { type: 'reasoning'; text: string; provider?: Json }
  | {
      type: 'file'
      /** Below the workspace. */
      path: string
      mediaType: string
      name?: string
      bytes?: number
      sha256?: string
      caption?: string
    }
  | { type: 'tool-call'; callId: string; name: string; input: Json }
  | { type: 'data'; name: string; data: Json }

interface EntryBase<M extends Json> {
  id: string
  /** ISO 8601 with an offset. */
  at: string
  /** Which of several conversations it belongs to. */
  thread?: string
  /** The message being handled, for all entries of one answer. */
  turn?: string
  /** The id of the entry it answers. */
  replyTo?: string
  /** The only place for what an app adds. */
  meta?: M
}

export interface UserEntry<M extends Json = Json> extends EntryBase<M> {
  role: 'user'
  content: string | readonly Part[]
  author?: { id: string; name?: string }
  /** The id of the entry that it is an edited version of. */
  replaces?: string
}

export interface AssistantEntry<M extends Json = Json> extends EntryBase<M> {
  role: 'assistant'
  content: string | readonly Part[]
  state?: 'complete' | 'cancelled' | 'failed'
  model?: string
  /** In tokens. */
  usage?: { input: number; output: number }
}

export interface ToolEntry<M extends Json = Json> extends EntryBase<M> {
  role: 'tool'
  /** Of the `tool-call` part it is the result of. */
  callId: string
  content: string | readonly Part[]
  output?: Json
  isError?: boolean
}

export interface SystemEntry<M extends Json = Json> extends EntryBase<M> {
  role: 'system'
  content: string
  kind?: 'instruction' | 'summary' | 'reminder' | 'notice'
  /** For a summary: the id of the last entry that it stands for. */
  covers?: string
}

export type SessionEntry<M extends Json = Json> =
  | UserEntry<M>
  | AssistantEntry<M>
  | ToolEntry<M>
  | SystemEntry<M>

type Distribute<T, O extends PropertyKey> = T extends unknown
  ? Omit<T, O> & { [K in O & keyof T]?: T[K] }
  : never

/** An entry to be: `id` and `at` are filled in where missing. */
export type NewEntry<M extends Json = Json> = Distribute<SessionEntry<M>, 'id' | 'at'>
