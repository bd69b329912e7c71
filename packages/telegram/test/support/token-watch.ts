import { inspect } from 'node:util'
import { afterAll, expect } from 'vitest'

/** Every test's bot has this token, so that it is recognised wherever it turns up. */
export const TOKEN = '424242:NEVER-TO-BE-SEEN-k3y'

const seen: string[] = []

function look(what: string, text: string): void {
  if (text.includes('NEVER-TO-BE-SEEN') && seen.length < 20) seen.push(`${what}: ${text.slice(0, 500)}`)
}

/** To be called with whatever reaches an app: errors, events, warnings. */
export function watched<T>(what: string, value: T): T {
  look(what, inspect(value, { depth: 12, showHidden: true }))
  return value
}

for (const stream of [process.stdout, process.stderr]) {
  const write = stream.write.bind(stream)
  stream.write = ((chunk: Uint8Array | string, ...rest: []) => {
    look('output', String(chunk))
    return write(chunk, ...rest)
  }) as typeof stream.write
}
for (const name of ['log', 'info', 'warn', 'error', 'debug'] as const) {
  const original = console[name].bind(console)
  console[name] = (...values: unknown[]) => {
    watched(`console.${name}`, values)
    original(...values)
  }
}
process.on('warning', (warning) => watched('warning', warning))

afterAll(() => {
  look('title', process.title)
  expect(seen, 'the bot token was seen').toEqual([])
})
