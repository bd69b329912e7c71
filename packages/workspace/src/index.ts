export type {
  AssistantEntry,
  NewEntry,
  Part,
  SessionEntry,
  SystemEntry,
  ToolEntry,
  UserEntry,
} from './entry.js'
export {
  type AnyWorkspaceError,
  type FileKind,
  isWorkspaceError,
  WorkspaceError,
  type WorkspaceErrorCode,
  type WorkspaceErrorDetails,
} from './errors.js'
export type { Files, ListedFile, ReadFileOptions } from './files.js'
export type { Json } from './json.js'
export type { Memory } from './memory.js'
export type { Problem } from './problem.js'
export type { Due, Misfire, NewSchedule, Schedule, SchedulePatch, SchedulesFile, When } from './schedule.js'
export type { Clock } from './scheduler/clock.js'
export type { SchedulerOptions, SchedulerTenant } from './scheduler/options.js'
export { Scheduler } from './scheduler/scheduler.js'
export type { Schedules } from './schedules.js'
export type { Schemas } from './schema.js'
export type { Section } from './sections.js'
export type { Session } from './session.js'
export type { ReadOptions } from './session-reader.js'
export type { Usage } from './usage.js'
export { Workspace, type WorkspaceOptions } from './workspace.js'
