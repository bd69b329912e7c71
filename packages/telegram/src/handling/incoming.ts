import type { AgentFile, AgentMessage } from '@tenantbox/core'
import type { Context } from 'grammy'
import { type Place, threadOf } from '../sending/place.js'
import { type Attachment, attachmentOf } from './attachments.js'

/** Where in the workspace the files are that users send. */
const INBOX = 'inbox'

/** A file that is to be fetched, and where it is put. */
export interface IncomingFile {
  readonly attachment: Attachment
  /** The same at each attempt, so that a redelivery leaves no second copy. */
  readonly file: AgentFile & { readonly path: string }
}

/** What a user has sent, as the agent is asked it. */
export type IncomingMessage = Pick<AgentMessage, 'id' | 'text' | 'cause' | 'thread' | 'from' | 'data'>

/**
 * The text, caption and sender of an update; of an album, of all its parts. Its id is that of the message in its chat; an
 * edited one has an id of its own, and the original's in `data.replaces`.
 */
export function incomingMessage(
  parts: readonly [Context, ...Context[]],
  fallbackId: string,
  place: Place | undefined,
  tenantIsChat: boolean,
): IncomingMessage {
  const [ctx] = parts
  const message = ctx.msg
  const texts = parts.map(({ msg }) => msg?.text ?? msg?.caption ?? '').filter((text) => text !== '')
  const id = message ? `message:${message.chat.id}:${message.message_id}` : fallbackId
  const edited = message?.edit_date
  const thread = place && threadOf(place, tenantIsChat)
  const { from } = ctx
  return {
    id: edited === undefined ? id : `${id}:${edited}`,
    text: texts.join('\n\n'),
    cause: 'user',
    ...(thread === undefined ? {} : { thread }),
    ...(from && { from: { id: String(from.id), name: nameOf(from) } }),
    ...(edited === undefined ? {} : { data: { replaces: id } }),
  }
}

/** The files that an update brings; of an album, of all its parts. */
export function incomingFiles(parts: readonly Context[]): IncomingFile[] {
  return parts.flatMap(({ msg, update }) => {
    const attachment = msg && attachmentOf(msg)
    if (!attachment) return []
    const { name, mediaType } = attachment
    return [{ attachment, file: { path: `${INBOX}/${update.update_id}-${name}`, name, mediaType } }]
  })
}

function nameOf({ first_name: first, last_name: last }: { first_name: string; last_name?: string }): string {
  return last === undefined ? first : `${first} ${last}`
}
