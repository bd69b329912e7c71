import type { Context } from 'grammy'

/** Where an answer goes: a chat, and the topic in it where it has topics. */
export interface Place {
  readonly chat: number
  readonly topic?: number
}

/** Undefined for an update that came from no chat, such as an inline query. */
export function placeOf(ctx: Context): Place | undefined {
  const { chat } = ctx
  if (!chat) return undefined
  const message = ctx.msg
  const topic = message?.is_topic_message ? message.message_thread_id : undefined
  return { chat: chat.id, ...(topic === undefined ? {} : { topic }) }
}

export function isSamePlace(one: Place, other: Place): boolean {
  return one.chat === other.chat && one.topic === other.topic
}

/**
 * What an agent knows a place by. With a tenant for each chat only the topic tells one conversation from another, and
 * none is the chat itself; where the app maps several chats to one tenant, the chat is part of it: `-1001234/7`.
 */
export function threadOf({ chat, topic }: Place, tenantIsChat: boolean): string | undefined {
  if (tenantIsChat) return topic === undefined ? undefined : String(topic)
  return topic === undefined ? String(chat) : `${chat}/${topic}`
}

/**
 * The place that a thread names, among those of the tenant: an agent cannot write to any other chat than its own
 * tenant's. Undefined when it names none; without a thread, the place that was written from last.
 */
export function placeOfThread(
  thread: string | undefined,
  places: readonly Place[],
  tenantIsChat: boolean,
): Place | undefined {
  const [latest] = places
  if (thread === undefined) return latest
  const match = tenantIsChat ? /^()(\d+)$/.exec(thread) : /^(-?\d+)(?:\/(\d+))?$/.exec(thread)
  if (!match) return latest
  const chat = tenantIsChat ? latest?.chat : Number(match[1])
  if (chat === undefined || !places.some((place) => place.chat === chat)) return latest
  return match[2] === undefined ? { chat } : { chat, topic: Number(match[2]) }
}
