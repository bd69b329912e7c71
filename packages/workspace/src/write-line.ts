import type { HeldFile } from './held-file.js'

const NEWLINE = 0x0a

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
  const bytes = endsInLine(file, before) ? line : Buffer.concat([Buffer.of(NEWLINE), line])
  // A part of the line is what a nearly full disk takes; the next attempt says so.
  if ((await file.writeOnce(bytes)) < bytes.length) return false
  if (file.size() === before + bytes.length) return true
  const found = await file.find(line, before)
  return found === -1 || endsInLine(file, found)
}

/** Whether a line may begin at `offset`. */
function endsInLine(file: HeldFile, offset: number): boolean {
  if (offset === 0) return true
  const last = Buffer.alloc(1)
  return file.readSync(last, offset - 1) === 0 || last[0] === NEWLINE
}
