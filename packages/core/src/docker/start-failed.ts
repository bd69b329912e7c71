import { type ErrorContext, type ErrorDetails, TenantBoxError } from '../errors.js'

type Details = ErrorDetails['START_FAILED']

/** A box that could not be made or started; what is not said of its exit is not known. */
export function startFailed(
  phase: Details['phase'],
  message: string,
  { code, oom = false, lastLogs = [] }: { [Key in keyof Details]?: Details[Key] | undefined } = {},
  context: ErrorContext = {},
): TenantBoxError<'START_FAILED'> {
  const details = { phase, ...(code === undefined ? {} : { code }), oom, lastLogs }
  return new TenantBoxError('START_FAILED', message, details, context)
}
