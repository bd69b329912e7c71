/** What happened, to whom, in words and numbers of ours: never what people say, never an error's own text. */
type LogFields = Readonly<Record<string, string | number | undefined>>

export type Log = (event: string, fields?: LogFields) => void

/** One line an event: `2026-05-04T18:00:00.000Z woken tenant=42 ms=160`. */
export function lineLog(write: (line: string) => void, now: () => Date = () => new Date()): Log {
  return (event, fields = {}) => {
    const told = Object.entries(fields).flatMap(([name, value]) =>
      value === undefined ? [] : [`${name}=${value}`],
    )
    write([now().toISOString(), event, ...told].join(' '))
  }
}

/** What may be told of an error: messages may hold anything, codes do not. */
export function codeOf(error: unknown): string {
  if (!(error instanceof Error)) return typeof error
  return 'code' in error && typeof error.code === 'string' ? error.code : error.name
}
