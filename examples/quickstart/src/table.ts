/** How a box was woken for a message, and how long that took. Times in milliseconds. */
export interface Wake {
  readonly tenant: string
  readonly woken: 'created' | 'from stopped' | 'from paused' | 'hot'
  /** Until the agent was ready. */
  readonly ready: number
  /** Until its first words, as counted from the message. */
  readonly firstWords: number
}

export function table(wakes: readonly Wake[]): string {
  const rows = wakes.map(({ tenant, woken, ready, firstWords }) => [tenant, woken, ms(ready), ms(firstWords)])
  return [['tenant', 'woken', 'ready', 'first words'], ...rows]
    .map(([tenant = '', woken = '', ready = '', firstWords = '']) =>
      [tenant.padEnd(12), woken.padEnd(14), ready.padStart(10), firstWords.padStart(14)].join(''),
    )
    .join('\n')
}

function ms(value: number): string {
  return `${value.toFixed(1)} ms`
}
