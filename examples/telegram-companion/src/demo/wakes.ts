import type { PoolEvents } from '@tenantbox/core'

/** How a box was woken, and how long it took until its agent was ready. */
export interface Wake {
  readonly chat: string
  readonly woken: string
  readonly ms: number
}

const WOKEN = { absent: 'made', stopped: 'woken from stopped', paused: 'woken from paused' } as const

export function toWake(chat: string, { from, ms }: PoolEvents['ready']): Wake {
  return { chat, woken: WOKEN[from], ms }
}

export function table(wakes: readonly Wake[]): string {
  const rows = wakes.map(({ chat, woken, ms }) => [chat, woken, `${ms.toFixed(1)} ms`])
  return [['chat', 'box', 'ready after'], ...rows]
    .map(([chat = '', woken = '', ms = '']) => `${chat.padEnd(10)}${woken.padEnd(22)}${ms.padStart(12)}`)
    .join('\n')
}
