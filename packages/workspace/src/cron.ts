import { Cron } from 'croner'
import type { Zone } from './zone.js'

const HOUR = 3_600_000
/** Clocks are changed by less than this. */
const GUARD = 3 * HOUR
const MAX_CACHED = 128
const MAX_LENGTH = 100
const NAMES: Readonly<Record<string, string>> = {
  '@hourly': '0 * * * *',
  '@daily': '0 0 * * *',
  '@midnight': '0 0 * * *',
  '@weekly': '0 0 * * 0',
  '@monthly': '0 0 1 * *',
  '@yearly': '0 0 1 1 *',
  '@annually': '0 0 1 1 *',
}
/** The library looks no further. Until then the calendar repeats every 28 years. */
const YEARS = '1970-2099'
const LAST_28_YEARS = Date.UTC(2072, 0, 1)
/**
 * What else the library knows: the nearest weekday, day and weekday both, a fifth weekday. There can be decades between
 * two such days, and looking for one takes milliseconds; other days come every few years at the least.
 */
const RARE = /[+?]|[\dL]W|#(?![1-4]\b)/i

/**
 * A cron pattern of five fields. The library matches it against wall times only; what happens when clocks change is
 * decided here, since its own answers can then lie before the time asked about:
 *
 * - a skipped time is as far behind the change as it was meant to be;
 * - a time that comes twice counts once, unless the pattern is for every hour (or every few): then it is regular, and
 *   keeps its rhythm.
 */
export class CronPattern {
  readonly #cron: Cron
  readonly #everyHour: boolean

  private constructor(cron: Cron, everyHour: boolean) {
    this.#cron = cron
    this.#everyHour = everyHour
  }

  static readonly #cache = new Map<string, CronPattern>()

  /** The pattern, or what is wrong with it. */
  static parse(source: string): CronPattern | string {
    const cached = CronPattern.#cache.get(source)
    if (cached) return cached
    const fields = (Object.hasOwn(NAMES, source) ? NAMES[source] : source)?.trim().split(/\s+/) ?? []
    if (source.length > MAX_LENGTH || fields.length !== 5 || source.includes(':'))
      return 'must be five fields (minute, hour, day, month, weekday) or a name such as @daily'
    if (RARE.test(source)) return 'has one of +, ?, W and #5, which are not supported'
    let cron: Cron
    try {
      cron = new Cron(`0 ${fields.join(' ')} ${YEARS}`, { mode: '7-part', utcOffset: 0 })
    } catch {
      return 'is not a pattern: see the fields minute, hour, day of the month, month, day of the week'
    }
    const pattern = new CronPattern(cron, fields[1]?.startsWith('*') === true)
    if (pattern.#nextWall(LAST_28_YEARS) === undefined) return 'never matches: there is no such day'
    // A parsed pattern takes tens of kilobytes; most tenants use the same few.
    if (CronPattern.#cache.size >= MAX_CACHED) CronPattern.#cache.clear()
    CronPattern.#cache.set(source, pattern)
    return pattern
  }

  /** The first due after an instant. */
  next(after: number, zone: Zone): number | undefined {
    const around = offsetsAround(after, zone)
    const steady = isSteady(around)
    let wall = after + Math.min(...around) - (steady ? 0 : GUARD)
    let best: number | undefined
    for (;;) {
      const next = this.#nextWall(wall)
      if (next === undefined || next <= wall) return best
      wall = next
      // Where clocks change, a later wall time can be an earlier instant; beyond that it cannot.
      if (best !== undefined && wall - Math.max(...offsetsAround(best, zone)) >= best) return best
      for (const instant of this.#instantsOf(wall, zone))
        if (instant > after && (best === undefined || instant < best)) best = instant
      if (best !== undefined && steady && isSteady(offsetsAround(best, zone))) return best
    }
  }

  #nextWall(after: number): number | undefined {
    return this.#cron.nextRun(new Date(after))?.getTime()
  }

  #instantsOf(wall: number, zone: Zone): number[] {
    const instants = this.#everyHour ? zone.instantsOf(wall) : []
    return instants.length > 0 ? instants : [zone.instantOf(wall)]
  }
}

function offsetsAround(instant: number, zone: Zone): readonly number[] {
  return [zone.offsetAt(instant - GUARD), zone.offsetAt(instant), zone.offsetAt(instant + GUARD)]
}

function isSteady(offsets: readonly number[]): boolean {
  return offsets.every((offset) => offset === offsets[0])
}
