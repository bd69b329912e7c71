import type { SessionEntry } from '@tenantbox/workspace'

export function textOf({ content }: SessionEntry): string {
  if (typeof content === 'string') return content
  return content.flatMap((part) => (part.type === 'text' ? [part.text] : [])).join('')
}
