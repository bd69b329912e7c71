import type { Workspace } from '@tenantbox/workspace'

const SECTION = 'Settings'
const ZONE_LINE = /^- Time zone: (\S+)$/m

/** What holds for all that the companion does: the section "Settings" of MEMORY.md. */
export class Settings {
  readonly #workspace: Workspace

  constructor(workspace: Workspace) {
    this.#workspace = workspace
  }

  /** An IANA name, or undefined while nobody has told it. */
  async timezone(): Promise<string | undefined> {
    const [, name] = ZONE_LINE.exec((await this.#workspace.memory.section(SECTION)) ?? '') ?? []
    return name === undefined ? undefined : zoneOf(name)
  }

  async setTimezone(zone: string): Promise<void> {
    const line = `- Time zone: ${zone}`
    // Also in the place of one that names no zone: people may edit the file, and the first line counts.
    const section = (await this.#workspace.memory.section(SECTION)) ?? ''
    if (ZONE_LINE.test(section)) await this.#workspace.memory.edit((text) => text.replace(ZONE_LINE, line))
    else await this.#workspace.memory.append(SECTION, line)
  }
}

/** The name as it is commonly written (`europe/berlin` is `Europe/Berlin`); undefined when there is no such zone. */
export function zoneOf(name: string): string | undefined {
  try {
    return new Intl.DateTimeFormat('en', { timeZone: name.replaceAll(' ', '_') }).resolvedOptions().timeZone
  } catch {
    return undefined
  }
}
