import { shown, WorkspaceError } from './errors.js'

const MAX_PATH_BYTES = 4096
const MAX_NAME_BYTES = 255
const MAX_DEPTH = 128

/**
 * Takes a path below the workspace apart: `notes/today.md` is `['notes', 'today.md']`.
 *
 * @throws WorkspaceError `INVALID_PATH` for what is absolute, empty, climbs by `..`, or what no file can be named
 */
export function splitPath(path: string): readonly [string, ...string[]] {
  const reason = faultOf(path)
  if (reason !== undefined)
    throw new WorkspaceError(
      'INVALID_PATH',
      `${typeof path === 'string' ? shown(path) : typeof path} is no path inside the workspace: it ${reason}. Pass one like notes/today.md.`,
      { path: String(path), reason },
    )
  const [first = '', ...rest] = path.split('/')
  return [first, ...rest]
}

function faultOf(path: string): string | undefined {
  if (typeof path !== 'string') return 'is not a string'
  if (path === '') return 'is empty'
  if (path.includes('\0')) return 'contains a NUL'
  if (path.startsWith('/')) return 'is absolute'
  if (!path.isWellFormed()) return 'is not well-formed Unicode'
  if (Buffer.byteLength(path) > MAX_PATH_BYTES) return `has more than ${MAX_PATH_BYTES} bytes`
  if (process.platform === 'win32' && /[\\:]/.test(path)) return 'contains a backslash or a colon'
  const names = path.split('/')
  if (names.length > MAX_DEPTH) return `is more than ${MAX_DEPTH} folders deep`
  for (const name of names) {
    if (name === '') return 'has an empty component'
    if (name === '.' || name === '..') return `has a component ${name}`
    if (Buffer.byteLength(name) > MAX_NAME_BYTES)
      return `has a component of more than ${MAX_NAME_BYTES} bytes`
  }
  return undefined
}
