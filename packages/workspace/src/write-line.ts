import type { HeldFile } from './held-file.js'

const NEWLINE = 0x0a
/** How far around the place of a write its line is looked for. */
export const SEARCHED = 1024 * 1024

/**
 * Appends one line, ending in a newline, by a single `write` with `O_APPEND`: the kernel keeps such writes of several
 * processes apart. What it does not help against is seen to here:
 *
 * - a line that somebody left torn is ended first, as part of the same write. Two who do so at once leave an empty line;
 * - somebody may die in the middle of a line between our look at the end and our write. Then ours has become part of it.
 *
 * @returns false when the line does not stand in the file as it should, and is to be written again
 */
export async function writeLine(file: HeldFile, line: Buffer): Promise<boolean> {
  const before = file.stats.size
  const bytes = isTorn(file, before) ? Buffer.concat([Buffer.of(NEWLINE), line]) : line
  // A part of the line is what a nearly full disk takes; the next attempt says so.
  if ((await file.writeOnce(bytes)) < bytes.length) return false
  return file.size() === before + bytes.length || !(await isSpliced(file, before, line))
}

function isTorn(file: HeldFile, size: number): boolean {
  if (size === 0) return false
  const last = Buffer.alloc(1)
  return file.readSync(last, size - 1) === 1 && last[0] !== NEWLINE
}

/** Whether the line, written at `before` or later, stands behind something other than a newline. */
async function isSpliced(file: HeldFile, before: number, line: Buffer): Promise<boolean> {
  const start = Math.max(0, Math.min(before, file.size() - line.length) - 1)
  const block = Buffer.alloc(SEARCHED)
  const written = block.subarray(0, await file.read(block, start))
  const found = written.indexOf(line)
  return found > 0 && written[found - 1] !== NEWLINE
}
