/** One figure beside what it is held against. */
export interface Figure {
  readonly name: string
  readonly value: string
  readonly floor?: string
  readonly ratio?: number
  readonly target: string
  readonly met: boolean
}

export function print(title: string, figures: readonly Figure[]): void {
  console.log(`\n${title}`)
  console.table(
    Object.fromEntries(
      figures.map(({ name, value, floor, ratio, target, met }) => [
        name,
        { value, floor: floor ?? '', ratio: ratio?.toFixed(3) ?? '', target, met: met ? 'yes' : 'NO' },
      ]),
    ),
  )
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b)
  const middle = sorted.length / 2
  return ((sorted[Math.floor(middle)] ?? Number.NaN) + (sorted[Math.ceil(middle) - 1] ?? Number.NaN)) / 2
}

/** `value` against `floor`, both in milliseconds. */
export function against(name: string, value: number, floor: number, atMost: number): Figure {
  const ratio = value / floor
  return {
    name,
    value: `${value.toFixed(1)} ms`,
    floor: `${floor.toFixed(1)} ms`,
    ratio,
    target: `at most ${atMost.toFixed(2)}x`,
    met: ratio <= atMost,
  }
}

/** Milliseconds of processor time that `work` takes: what a rate of its own is made of, however busy the machine is. */
export async function processorMs(work: () => Promise<void>): Promise<number> {
  const before = process.cpuUsage()
  await work()
  const { user, system } = process.cpuUsage(before)
  return (user + system) / 1000
}
