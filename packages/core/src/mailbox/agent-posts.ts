import type { AgentFile } from '../agent-events.js'

/** What an agent says first. All of it is the tenant's own words. */
export interface AgentPost {
  /** The agent's own: the same again is the same message again. */
  readonly id: string
  readonly text: string
  readonly thread?: string
  /** Their paths are relative to the workspace. */
  readonly files?: readonly AgentFile[]
}
