export type { AgentEvent, AgentFile, AgentMessage, Answer, Json, MessageInput } from './agent.js'
export type { BoxSpec } from './box-spec.js'
export type { CancelTimer, Clock } from './clock.js'
export type {
  BoxExit,
  BoxIdentity,
  BoxProcess,
  BoxRecord,
  BoxRef,
  BoxStats,
  Driver,
  DriverCall,
  DriverEvent,
  DriverReport,
  DriverWarning,
  LogLine,
  LogsRequest,
  PoolIdentity,
  PullProgress,
  ResolvedBoxSpec,
  ResolvedMount,
  SpawnRequest,
} from './driver.js'
export {
  type AnyTenantBoxError,
  type ErrorCode,
  type ErrorDetails,
  isTenantBoxError,
  TenantBoxError,
} from './errors.js'
export type { ExecResult } from './exec.js'
export type { GatewayHandler } from './gateway-socket.js'
export { slugOf } from './identity.js'
export type { BoxState, DownReason, Exit, PoolEvents, TransitionReason } from './lifecycle.js'
export type { AgentPost } from './mailbox/agent-posts.js'
export { Mailbox } from './mailbox/mailbox.js'
export type { MailboxEvents } from './mailbox/mailbox-events.js'
export type { MailboxOptions } from './mailbox/mailbox-options.js'
export type { Turn } from './mailbox/turn.js'
export type { IdleOptions, PoolOptions, SleepOptions, TenantOverrides } from './options.js'
export { type Lease, TenantPool } from './pool.js'
export type { StartReport } from './pool-phase.js'
export type { ProbeTarget, Readiness } from './readiness.js'
export type { ExecOptions, FetchInit, SpawnOptions, TenantBox } from './tenant-box.js'
export type { Stray } from './tenant-dirs.js'
export type { PoolStats, TenantInfo } from './tenant-info.js'
export type { Duration, Size } from './units.js'
export type { CallOptions } from './wait.js'
export type { WarningCode } from './warnings.js'
