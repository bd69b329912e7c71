import { Writable } from 'node:stream'
import { StringDecoder } from 'node:string_decoder'
import type { LogLine, LogsRequest } from '../driver.js'

/** As long as an engine's own log driver lets a line be; a longer one becomes several. */
const LONGEST_LINE = 16 * 1024

/** The last lines a box said, at most `maxBytes` of them, over all its lives. */
export class LogBuffer {
  readonly #maxBytes: number
  readonly #now: () => number
  readonly #lines: LogLine[] = []
  readonly #waiting = new Set<() => void>()
  readonly #flushes = new Set<() => void>()
  /** How many lines were dropped: the sequence number of the first one kept. */
  #dropped = 0
  /** The sequence number of the first line of the present or last life. */
  #lifeFrom = 0
  #bytes = 0
  #live = false

  constructor(maxBytes: number, now: () => number) {
    this.#maxBytes = maxBytes
    this.#now = now
  }

  /** A life begins: from now on, a reader that follows waits for more. */
  open(): void {
    this.#live = true
    this.#lifeFrom = this.#dropped + this.#lines.length
  }

  /** A life has ended, and with it what followed it. Lines that were begun are lines now. */
  close(): void {
    for (const flush of this.#flushes) flush()
    this.#flushes.clear()
    this.#live = false
    this.#wake()
  }

  /** Where one stream of this life's process writes to. */
  writer(stream: LogLine['stream']): Writable {
    const decoder = new StringDecoder('utf8')
    let rest = ''
    const add = (text: string): void => {
      const lines = (rest + text).split('\n')
      rest = lines.pop() ?? ''
      for (const line of lines) this.#add(stream, line)
      for (; rest.length > LONGEST_LINE; rest = rest.slice(LONGEST_LINE))
        this.#add(stream, rest.slice(0, LONGEST_LINE))
    }
    this.#flushes.add(() => {
      add(decoder.end())
      if (rest) add('\n')
    })
    return new Writable({
      write(chunk: Buffer, _encoding, done) {
        add(decoder.write(chunk))
        done()
      },
    })
  }

  /** What was kept, then, when following, what comes until the life ends. */
  async *read(request: LogsRequest, signal?: AbortSignal): AsyncGenerator<LogLine, void, undefined> {
    const { since = Number.NEGATIVE_INFINITY, thisLife = false, follow = false } = request
    const from = thisLife ? this.#lifeFrom : 0
    for (let next = Math.max(from, this.#first(request.tail, since)); ; ) {
      signal?.throwIfAborted()
      // A reader too slow for the buffer goes on with the oldest line there still is.
      next = Math.max(next, this.#dropped)
      const line = this.#lines[next - this.#dropped]
      if (line) {
        next++
        if (line.at >= since) yield line
      } else if (follow && this.#live) await this.#more(signal)
      else return
    }
  }

  #first(tail: number | undefined, since: number): number {
    if (tail === undefined) return this.#dropped
    const wanted = this.#lines.filter(({ at }) => at >= since).length
    let skip = Math.max(0, wanted - tail)
    const index = this.#lines.findIndex(({ at }) => at >= since && skip-- === 0)
    return this.#dropped + (index === -1 ? this.#lines.length : index)
  }

  #add(stream: LogLine['stream'], text: string): void {
    for (let from = 0; from === 0 || from < text.length; from += LONGEST_LINE) {
      const part = text.slice(from, from + LONGEST_LINE)
      this.#lines.push({ at: this.#now(), stream, text: part })
      this.#bytes += sizeOf(part)
    }
    while (this.#bytes > this.#maxBytes) {
      const oldest = this.#lines.shift()
      if (!oldest) break
      this.#bytes -= sizeOf(oldest.text)
      this.#dropped++
    }
    this.#wake()
  }

  #wake(): void {
    for (const wake of this.#waiting) wake()
    this.#waiting.clear()
  }

  #more(signal: AbortSignal | undefined): Promise<void> {
    return new Promise((resolve) => {
      const wake = (): void => {
        this.#waiting.delete(wake)
        signal?.removeEventListener('abort', wake)
        resolve()
      }
      this.#waiting.add(wake)
      signal?.addEventListener('abort', wake, { once: true })
    })
  }
}

/** What keeping a line costs, roughly: an empty one is not free. */
function sizeOf(text: string): number {
  return text.length * 2 + 64
}
