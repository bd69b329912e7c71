import { isUtf8 } from 'node:buffer'
import type { Allowance } from './allowance.js'
import type { HeldFile } from './held-file.js'

/** The longest line of a session, its newline included. */
export const LINE_LIMIT = 256 * 1024
const FORWARD_BLOCK = 512 * 1024
const FIRST_BLOCK_BACK = 32 * 1024
const LARGEST_BLOCK_BACK = 512 * 1024
const NEWLINE = 0x0a
const NOTHING: Buffer = Buffer.alloc(0)
const TOO_LONG = `longer than ${LINE_LIMIT} bytes`
const NOT_UTF8 = 'not valid UTF-8'

/** A complete line without its newline, or why it cannot be read. `offset` is the byte it begins at. */
export type Line =
  | { readonly offset: number; readonly text: string }
  | { readonly offset: number; readonly fault: string }

export interface LineRange {
  /** A byte at which a line begins. @default 0 */
  readonly start?: number
  /** @default the file's size when reading begins */
  readonly end?: number
  /** Charged for what is read. @default nobody: who gives none bounds the range */
  readonly allowance?: Allowance
}

/**
 * The complete lines of a file from its beginning, a block at a time; empty ones are left out. Holds one block and one
 * line in memory, whatever the file holds. A last line without a newline is not complete: it is being written, or was
 * torn.
 */
export async function* linesForward(file: HeldFile, range: LineRange = {}): AsyncGenerator<Line[]> {
  const end = range.end ?? file.size()
  let offset = range.start ?? 0
  // The beginning of a line whose newline has not been read yet, unless that line is too long already.
  let carried = NOTHING
  let skipping = false
  while (offset < end) {
    const block = await readBlock(file, offset, Math.min(FORWARD_BLOCK, end - offset), range)
    if (block.length === 0) return
    const skipped = skipping ? block.indexOf(NEWLINE) + 1 : 0
    if (skipping && skipped === 0) {
      offset += block.length
      continue
    }
    skipping = false
    const bytes = carried.length === 0 ? block.subarray(skipped) : Buffer.concat([carried, block])
    const start = offset + skipped - carried.length
    const complete = bytes.lastIndexOf(NEWLINE) + 1
    const lines = split(bytes.subarray(0, complete), start)
    carried = bytes.subarray(complete)
    if (carried.length >= LINE_LIMIT) {
      lines.push({ offset: start + complete, fault: TOO_LONG })
      carried = NOTHING
      skipping = true
    }
    offset += block.length
    yield lines
  }
}

/** The complete lines of a file from its end, a block at a time, the last line of each block first. */
export async function* linesBackward(file: HeldFile, range: LineRange = {}): AsyncGenerator<Line[]> {
  const start = range.start ?? 0
  let offset = await endOfLines(file, range)
  let size = FIRST_BLOCK_BACK
  // The end of a line whose beginning has not been read yet, unless that line is too long already.
  let carried = NOTHING
  let skipping = false
  while (offset > start) {
    const wanted = Math.min(size, offset - start)
    const block = await readBlock(file, offset - wanted, wanted, range)
    offset -= wanted
    size = Math.min(size * 2, LARGEST_BLOCK_BACK)
    const bytes = carried.length === 0 ? block : Buffer.concat([block, carried])
    // Where the first line begins that is in these bytes as a whole.
    const whole = offset === start ? 0 : bytes.indexOf(NEWLINE) + 1
    let lines: Line[] = []
    if (skipping) {
      const last = block.lastIndexOf(NEWLINE) + 1
      if (last === 0 && offset > start) continue
      lines = split(block.subarray(whole, last), offset + whole)
      lines.push({ offset: offset + last, fault: TOO_LONG })
      skipping = false
    } else if (whole > 0 || offset === start) lines = split(bytes.subarray(whole), offset + whole)
    carried = whole > 0 || offset === start ? bytes.subarray(0, whole) : bytes
    if (carried.length > LINE_LIMIT) {
      carried = NOTHING
      skipping = true
    }
    yield lines.reverse()
  }
}

/** Where the last complete line ends. */
export async function endOfLines(file: HeldFile, range: LineRange = {}): Promise<number> {
  const start = range.start ?? 0
  let size = 4096
  for (let end = range.end ?? file.size(); end > start; size = Math.min(size * 2, LARGEST_BLOCK_BACK)) {
    const wanted = Math.min(size, end - start)
    const block = await readBlock(file, end - wanted, wanted)
    const newline = block.lastIndexOf(NEWLINE)
    end -= wanted
    if (newline !== -1) return end + newline + 1
    range.allowance?.charge(wanted)
  }
  return start
}

async function readBlock(
  file: HeldFile,
  offset: number,
  length: number,
  { allowance }: LineRange = {},
): Promise<Buffer> {
  allowance?.charge(length)
  const block = Buffer.allocUnsafe(length)
  return block.subarray(0, await file.read(block, offset))
}

/** Takes complete lines apart. Decoding them together is several times faster than one by one. */
function split(bytes: Buffer, offset: number): Line[] {
  if (!isUtf8(bytes)) return splitBytes(bytes, offset)
  const decoded = bytes.toString('utf8')
  const ascii = decoded.length === bytes.length
  const lines: Line[] = []
  let at = offset
  for (let from = 0, to = decoded.indexOf('\n'); to !== -1; from = to + 1, to = decoded.indexOf('\n', from)) {
    if (to === from) {
      at++
      continue
    }
    const text = decoded.slice(from, to)
    const length = ascii ? text.length : Buffer.byteLength(text)
    if (length >= LINE_LIMIT) lines.push({ offset: at, fault: TOO_LONG })
    else if (!isBlank(text)) lines.push({ offset: at, text: at === 0 ? withoutMark(text) : text })
    at += length + 1
  }
  return lines
}

function splitBytes(bytes: Buffer, offset: number): Line[] {
  const lines: Line[] = []
  for (
    let from = 0, to = bytes.indexOf(NEWLINE);
    to !== -1;
    from = to + 1, to = bytes.indexOf(NEWLINE, from)
  ) {
    const line = bytes.subarray(from, to + 1)
    if (isUtf8(line)) lines.push(...split(line, offset + from))
    else lines.push({ offset: offset + from, fault: line.length > LINE_LIMIT ? TOO_LONG : NOT_UTF8 })
  }
  return lines
}

function isBlank(text: string): boolean {
  return text.length < 2 ? text === '\r' : text.charCodeAt(0) <= 0x20 && text.trim() === ''
}

/** Some editors put a byte order mark before the first line. */
function withoutMark(text: string): string {
  return text.startsWith('\ufeff') ? text.slice(1) : text
}
