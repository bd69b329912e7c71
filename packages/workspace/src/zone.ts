const MAX_CACHED = 500
const MINUTE = 60_000
const DAY = 24 * 60 * MINUTE
/** No offset changes within one of these. */
const BUCKET = 15 * MINUTE

/*
 * Local times are handled as "wall" times: the milliseconds that a clock on the wall would show if it were UTC. A zone's
 * offset is wall minus instant.
 */

/** A time zone, as the system's `Intl` knows it. */
export class Zone {
  readonly #format: Intl.DateTimeFormat | undefined
  #bucket = Number.NaN
  #offset = 0

  private constructor(format: Intl.DateTimeFormat | undefined) {
    this.#format = format
  }

  static readonly utc = new Zone(undefined)
  static readonly #cache = new Map<string, Zone>()

  /** Undefined for a name that no zone has. */
  static named(name: string): Zone | undefined {
    const cached = Zone.#cache.get(name)
    if (cached) return cached
    const zone = name.length <= 64 ? Zone.#make(name) : undefined
    if (!zone) return undefined
    // Names come from tenants, and many spellings name the same zone.
    if (Zone.#cache.size >= MAX_CACHED) Zone.#cache.clear()
    Zone.#cache.set(name, zone)
    return zone
  }

  static #make(timeZone: string): Zone | undefined {
    if (timeZone === 'UTC' || timeZone === 'Etc/UTC') return Zone.utc
    try {
      const digits = '2-digit'
      return new Zone(
        new Intl.DateTimeFormat('en-US', {
          timeZone,
          hourCycle: 'h23',
          year: 'numeric',
          month: digits,
          day: digits,
          hour: digits,
          minute: digits,
          second: digits,
        }),
      )
    } catch {
      // RangeError: there is no such zone.
      return undefined
    }
  }

  /** Milliseconds by which local time is ahead of UTC at an instant. */
  offsetAt(instant: number): number {
    if (!this.#format) return 0
    const bucket = Math.floor(instant / BUCKET)
    if (bucket !== this.#bucket) {
      this.#offset = this.#wallAt(this.#format, bucket * BUCKET) - bucket * BUCKET
      this.#bucket = bucket
    }
    return this.#offset
  }

  /** The instants at which a clock shows `wall`: one, two when clocks were turned back, none when it was skipped. */
  instantsOf(wall: number): number[] {
    const earlier = this.offsetAt(wall - DAY)
    const later = this.offsetAt(wall + DAY)
    if (earlier === later && this.offsetAt(wall - earlier) === earlier) return [wall - earlier]
    const found = new Set<number>()
    for (const offset of [earlier, later])
      if (this.offsetAt(wall - offset) === offset) found.add(wall - offset)
    return [...found].sort((one, other) => one - other)
  }

  /** The instant meant by `wall`: the first of two; a skipped one is as far behind the change as it was meant to be. */
  instantOf(wall: number): number {
    return this.instantsOf(wall)[0] ?? wall - this.offsetAt(wall - DAY)
  }

  #wallAt(format: Intl.DateTimeFormat, instant: number): number {
    const [month = 1, day = 1, year = 0, hour = 0, minute = 0, second = 0] = (
      format.format(instant).match(/\d+/g) ?? []
    ).map(Number)
    return Date.UTC(year, month - 1, day, hour, minute, second)
  }
}
