import type { DriverWarning } from './driver.js'

/** What core warns of; `docs/errors-and-warnings.md` says of each when it comes and what to do. */
export type WarningCode =
  // What is missing here, at `pool.start()`; errors under `strict`.
  | 'UNISOLATED'
  | 'SHARED_UID'
  | 'UIDS_IN_USE'
  | 'REMAPPED_UIDS'
  | 'NO_MEMORY_LIMIT'
  | 'NO_SWAP_LIMIT'
  | 'NO_CPU_LIMIT'
  | 'NO_PIDS_LIMIT'
  | 'NO_SECCOMP'
  | 'NO_DISK_IMAGES'
  | 'NO_PAUSE'
  | 'NETWORK_REACHES_HOST'
  | 'OTHER_FILES'
  | 'SOCKETS_CANNOT_CROSS'
  | 'HOST_CONFIG'
  // The start, and what it finds of an earlier process.
  | 'LEFT_BEHIND'
  | 'START_NOT_UNDONE'
  | 'STRAY_FOLDER'
  | 'TENANT_FILE_REPAIRED'
  | 'GATEWAY_CLOSED'
  // Boxes.
  | 'REBUILD_FAILED'
  | 'REBUILD_NOT_ENDED'
  | 'BOX_NOT_FOLLOWED'
  | 'UNHEALTHY_NOT_STOPPED'
  | 'REAP_FAILED'
  | 'EVICTION_FAILED'
  | 'NOT_PUT_DOWN'
  | 'BUSY_TOO_LONG'
  // What the app has handed in.
  | 'PER_TENANT_FAILED'
  | 'VETO_FAILED'
  | 'LISTENER_FAILED'
  | 'GATEWAY_HANDLER'
  | 'GATEWAY_SOCKET'
  // Disks.
  | 'ACTIVITY_NOT_SAVED'
  | 'DISK_LOW'
  | 'DISK_UNKNOWN'
  | 'DISK_NOT_COUNTED'
  | 'QUOTA_NOT_KEPT'
  | 'DISK_IMAGE_FAILED'
  | 'DISK_HIDES_FILES'
  | 'DISK_NOT_SHRUNK'
  | 'DISK_NOT_GROWN'
  // The mailbox.
  | 'MAILBOX_DISK'
  | 'MAILBOX_FOREIGN_FILE'

/** Any string: a driver of somebody else's has codes of its own. */
export type AnyWarningCode = WarningCode | (string & Record<never, never>)

/** One of core's own for what `open` or the start reports. */
export function startWarning(code: WarningCode, message: string): DriverWarning {
  return { code, message }
}
