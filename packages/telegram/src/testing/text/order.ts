import type { MessageEntity } from 'grammy/types'

/** By where they begin; of two that begin together the outer one comes first. */
export function byPosition(
  one: Pick<MessageEntity, 'offset' | 'length'>,
  other: Pick<MessageEntity, 'offset' | 'length'>,
): number {
  return one.offset - other.offset || other.length - one.length
}
