import { createHash } from 'node:crypto'
import { isWorkspaceError, type Schedule, type When, type Workspace } from '@tenantbox/workspace'

export interface Reminder {
  readonly id: string
  readonly text: string
  readonly when: When
  /** In which `when` is meant. */
  readonly timezone: string
  /** ISO 8601, UTC. */
  readonly nextAt: string
}

export interface NewReminder {
  readonly text: string
  readonly when: When
  readonly timezone: string
  readonly thread?: string | undefined
}

const MOST = 100
const SHORTEST_EVERY_MS = 60_000

/** What the companion is to say by itself, in SCHEDULES.json: the gateway's scheduler wakes the box for it. */
export class Reminders {
  readonly #workspace: Workspace

  constructor(workspace: Workspace) {
    this.#workspace = workspace
  }

  /** Those still to come, soonest first. */
  async list(): Promise<readonly Reminder[]> {
    const schedules = await this.#workspace.schedules.list()
    return schedules.flatMap(toReminder).sort((one, other) => one.nextAt.localeCompare(other.nextAt))
  }

  /**
   * @param key The same key again, as when a message is delivered twice, adds nothing.
   * @throws ReminderRefused when it can never come, too often, or there are too many
   */
  async add({ text, when, timezone, thread }: NewReminder, key: string): Promise<Reminder> {
    const id = createHash('sha256').update(key).digest('hex').slice(0, 12)
    const before = await this.list()
    const known = before.find((reminder) => reminder.id === id)
    if (known) return known
    if (before.length >= MOST) throw new ReminderRefused(`There are ${MOST} reminders already.`)
    try {
      await this.#workspace.schedules.add({ id, text, timezone, ...when, ...(thread ? { thread } : {}) })
    } catch (error) {
      if (isWorkspaceError(error, 'INVALID_SCHEDULE')) throw new ReminderRefused(error.details.reason)
      throw error
    }
    return await this.#checked(id)
  }

  /** False when there is none with that id. */
  remove(id: string): Promise<boolean> {
    return this.#workspace.schedules.remove(id)
  }

  /** What is over does not stay in the list. */
  async removeIfOver(id: string): Promise<void> {
    const schedules = await this.#workspace.schedules.list()
    if (schedules.some((schedule) => schedule.id === id && schedule.nextAt === undefined))
      await this.remove(id)
  }

  async #checked(id: string): Promise<Reminder> {
    const added = (await this.list()).find((reminder) => reminder.id === id)
    const reason = !added
      ? 'That time has passed already.'
      : (await this.#comesTooOften(added))
        ? 'A reminder may come once a minute at most.'
        : undefined
    if (added && reason === undefined) return added
    await this.remove(id)
    throw new ReminderRefused(reason ?? 'It can never come.')
  }

  async #comesTooOften({ id, nextAt }: Reminder): Promise<boolean> {
    const dues = await this.#workspace.schedules.next(new Date(nextAt))
    const following = dues.find(({ schedule }) => schedule.id === id)
    return following !== undefined && Date.parse(following.dueAt) - Date.parse(nextAt) < SHORTEST_EVERY_MS
  }
}

/** Why there will be no such reminder; to be told to whoever wanted it. */
export class ReminderRefused extends Error {
  override readonly name = 'ReminderRefused'
}

function toReminder(schedule: Schedule & { nextAt?: string }): Reminder[] {
  const { id, text, timezone = 'UTC', nextAt } = schedule
  return nextAt === undefined ? [] : [{ id, text, when: schedule, timezone, nextAt }]
}
