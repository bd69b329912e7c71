const LOAD_ADDRESS = 0x08048000
const HEADERS = 52 + 32

/**
 * A 32-bit program of nothing but machine code, which a 64-bit kernel runs by its older system calls: it asks for a
 * socket of `family`, by `socketcall` or by the later `socket`, and exits with the error's number, or 253 when it got one.
 */
export function socketProgram(by: 'socketcall' | 'socket', family: number): Buffer {
  const code =
    by === 'socketcall'
      ? // Its arguments are in memory, behind the code: no filter sees them.
        [movEax(102), movEbx(1), movEcx(LOAD_ADDRESS + HEADERS + 15 + 13), INTERRUPT]
      : [movEax(359), movEbx(family), movEcx(1), [0x31, 0xd2], INTERRUPT]
  const exit = [[0xf7, 0xd8], [0x89, 0xc3], movEax(1), INTERRUPT]
  return elf(Buffer.from([...code, ...exit, word(family), word(1), word(0)].flat()))
}

const INTERRUPT = [0xcd, 0x80]
const movEax = (value: number) => [0xb8, ...word(value)]
const movEbx = (value: number) => [0xbb, ...word(value)]
const movEcx = (value: number) => [0xb9, ...word(value)]

function word(value: number): number[] {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32LE(value)
  return [...bytes]
}

/** The least that Linux runs: one header, one segment. */
function elf(code: Buffer): Buffer {
  const half = (value: number) => [value & 0xff, value >> 8]
  const size = HEADERS + code.length
  const [executable, i386, version, segments] = [2, 3, 1, 1]
  const header = [
    [0x7f, 0x45, 0x4c, 0x46, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0],
    [...half(executable), ...half(i386), ...word(version), ...word(LOAD_ADDRESS + HEADERS)],
    [...word(52), ...word(0), ...word(0)],
    [52, 32, segments, 0, 0, 0].flatMap(half),
  ]
  const [loaded, readAndExecute, page] = [1, 5, 0x1000]
  const segment = [loaded, 0, LOAD_ADDRESS, LOAD_ADDRESS, size, size, readAndExecute, page].flatMap(word)
  return Buffer.concat([Buffer.from(header.flat()), Buffer.from(segment), code])
}
