/** What each error code carries, beyond its message. Paths are relative to the workspace. */
export interface WorkspaceErrorDetails {
  /** An argument is not what it must be. */
  INVALID_OPTION: { option: string; expected: string; got: string }
  /** A path that leaves the workspace, or that no file can have. */
  INVALID_PATH: { path: string; reason: string }
  NOT_FOUND: { path: string }
  /** Something stands at the path that is never opened. */
  NOT_A_FILE: { path: string; kind: FileKind }
  NOT_A_DIRECTORY: { path: string; kind: FileKind }
  /** Sizes in bytes. */
  TOO_LARGE: { path: string; bytes: number; limit: number }
  /** The file is no longer the version that the change was made from. */
  VERSION_CONFLICT: { path: string; expected: string; actual: string }
  INVALID_ENTRY: { reason: string }
  INVALID_SCHEDULE: { id?: string; reason: string }
  /** A file as a whole does not follow its format. */
  INVALID_FILE: { path: string; reason: string }
  NO_SPACE: { path: string }
  /** Others changed the same file at every attempt, or hold it so that nobody else may open it. */
  BUSY: { path: string }
  ACCESS_DENIED: { path: string }
  /** The system failed in another way; `errno` is its own code, such as `EIO`. */
  IO: { path: string; errno: string }
  CLOSED: Record<never, never>
}

export type WorkspaceErrorCode = keyof WorkspaceErrorDetails

export type FileKind =
  | 'file'
  | 'directory'
  | 'symlink'
  | 'fifo'
  | 'socket'
  | 'device'
  | 'hard link'
  | 'unknown'

/** Recognises our errors across duplicate copies of the package. */
const brand = Symbol.for('dev.tenantbox.workspace.error')

/**
 * The one error class of the package. Its message says what happened and what to do next; it never holds what stands
 * in a tenant's file.
 */
export class WorkspaceError<C extends WorkspaceErrorCode = WorkspaceErrorCode> extends Error {
  override readonly name = 'WorkspaceError'
  readonly code: C
  readonly details: WorkspaceErrorDetails[C]

  constructor(code: C, message: string, details: WorkspaceErrorDetails[C], options?: { cause?: unknown }) {
    super(message, options?.cause === undefined ? undefined : { cause: options.cause })
    this.code = code
    this.details = details
    Object.defineProperty(this, brand, { value: true })
  }
}

export type AnyWorkspaceError<C extends WorkspaceErrorCode = WorkspaceErrorCode> = {
  [K in C]: WorkspaceError<K>
}[C]

/**
 * Whether `error` is an error of this package, and one of `codes` if any are given. Narrows `details`.
 *
 * @example if (isWorkspaceError(error, 'VERSION_CONFLICT')) retryFrom(error.details.actual)
 */
export function isWorkspaceError<C extends WorkspaceErrorCode = WorkspaceErrorCode>(
  error: unknown,
  ...codes: readonly C[]
): error is AnyWorkspaceError<C> {
  if (!(error instanceof Error && brand in error && 'code' in error)) return false
  return codes.length === 0 || (codes as readonly string[]).includes(String(error.code))
}

/** The system's own code (`'ENOENT'`) of an error, when it has one. */
export function errnoOf(error: unknown): string | undefined {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : undefined
}

/** How a path a tenant may have named is shown in a message: what a terminal obeys is escaped, and it is cut to a readable length. */
export function shown(path: string): string {
  return JSON.stringify(path.length > 200 ? `${path.slice(0, 200)}…` : path).replace(
    /[\p{Cc}\p{Bidi_Control}\u2028\u2029]/gu,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  )
}

export function invalidOption(
  option: string,
  expected: string,
  got: unknown,
): WorkspaceError<'INVALID_OPTION'> {
  const text = typeof got === 'string' ? shown(got) : String(got)
  return new WorkspaceError('INVALID_OPTION', `${option} must be ${expected}, got ${text}.`, {
    option,
    expected,
    got: text,
  })
}

export function tooLarge(
  path: string,
  bytes: number,
  limit: number,
  advice: string,
): WorkspaceError<'TOO_LARGE'> {
  return new WorkspaceError(
    'TOO_LARGE',
    `${shown(path)} has ${bytes} bytes, more than the limit of ${limit}. ${advice}`,
    { path, bytes, limit },
  )
}

export function busy(path: string, attempts: number): WorkspaceError<'BUSY'> {
  return new WorkspaceError(
    'BUSY',
    `${shown(path)} was changed by others at each of ${attempts} attempts. Try again later.`,
    { path },
  )
}

/** Puts an error of the system into words; what already is an error of ours is passed on. */
export function systemFailure(error: unknown, path: string): Error {
  if (isWorkspaceError(error)) return error
  const errno = errnoOf(error)
  const at = shown(path)
  const cause = { cause: error }
  switch (errno) {
    case 'ENOENT':
      return new WorkspaceError('NOT_FOUND', `There is nothing at ${at}.`, { path }, cause)
    case 'ENOSPC':
    case 'EDQUOT':
      return new WorkspaceError(
        'NO_SPACE',
        `No space is left for ${at}; what was there is unchanged. Free some, or raise the tenant's disk limit.`,
        { path },
        cause,
      )
    case 'EACCES':
    case 'EPERM':
    case 'EROFS':
      return new WorkspaceError(
        'ACCESS_DENIED',
        `This process may not touch ${at} (${errno}). Check the file's owner and mode, and the mount.`,
        { path },
        cause,
      )
    // The tenant has a lease on it (`F_SETLEASE`), or runs it as a program.
    case 'EAGAIN':
    case 'ETXTBSY':
      return new WorkspaceError(
        'BUSY',
        `${at} is held by another process (${errno}). Try again later, or stop the box.`,
        { path },
        cause,
      )
    case 'ENAMETOOLONG':
      return new WorkspaceError(
        'INVALID_PATH',
        `${at} is too long a name.`,
        { path, reason: 'too long' },
        cause,
      )
    case undefined:
      return error instanceof Error ? error : new Error(String(error))
    default:
      return new WorkspaceError('IO', `The system failed at ${at}: ${errno}.`, { path, errno }, cause)
  }
}
