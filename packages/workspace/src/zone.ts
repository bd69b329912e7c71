const MAX_CACHED = 500
const DAY = 24 * 3_600_000
const MAX_DAYS = 1000
const CHANGES = Symbol('changes')

/*
 * Local times are handled as "wall" times: the milliseconds that a clock on the wall would show if it were UTC. A zone's
 * offset is wall minus instant.
 */

/** A time zone, as the system's `Intl` knows it. */
export class Zone {
  readonly #format: Intl.DateTimeFormat | undefined
  /** Asking `Intl` takes microseconds, and the same days are asked about again and again. */
  readonly #days = new Map<number, number | typeof CHANGES>()

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
    const day = Math.floor(instant / DAY)
    let offset = this.#days.get(day)
    if (offset === undefined) {
      const morning = this.#askOffset(this.#format, day * DAY)
      offset = morning === this.#askOffset(this.#format, (day + 1) * DAY) ? morning : CHANGES
      if (this.#days.size >= MAX_DAYS) this.#days.clear()
      this.#days.set(day, offset)
    }
    return offset === CHANGES ? this.#askOffset(this.#format, instant) : offset
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

  #askOffset(format: Intl.DateTimeFormat, instant: number): number {
    const second = Math.floor(instant / 1000) * 1000
    const [month = 1, day = 1, year = 0, hour = 0, minute = 0, seconds = 0] = (
      format.format(second).match(/\d+/g) ?? []
    ).map(Number)
    return Date.UTC(year, month - 1, day, hour, minute, seconds) - second
  }
}
