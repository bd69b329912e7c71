import type { Workspace } from '@tenantbox/workspace'

const SECTION = 'Notes'
const LONGEST_NOTE = 1_000

/** What the companion was told to remember: the list items below "Notes" in MEMORY.md, which people may edit too. */
export class Notes {
  readonly #workspace: Workspace

  constructor(workspace: Workspace) {
    this.#workspace = workspace
  }

  async list(): Promise<readonly string[]> {
    const text = (await this.#workspace.memory.section(SECTION)) ?? ''
    return text.split('\n').flatMap((line) => (line.startsWith('- ') ? [line.slice(2).trim()] : []))
  }

  /** Keeps a note, once however often it is told. Returns it as it was kept. */
  async add(text: string): Promise<string> {
    const note = oneLine(text)
    if (!(await this.list()).includes(note)) await this.#workspace.memory.append(SECTION, `- ${note}`)
    return note
  }

  /** Removes the notes that contain `words`; returns those it removed. */
  async remove(words: string): Promise<readonly string[]> {
    const wanted = oneLine(words).toLowerCase()
    const found = (await this.list()).filter((note) => note.toLowerCase().includes(wanted))
    if (wanted === '' || found.length === 0) return []
    const lines = new Set(found.map((note) => `- ${note}`))
    await this.#workspace.memory.edit((text) =>
      text
        .split('\n')
        .filter((line) => !lines.has(line.trim()))
        .join('\n'),
    )
    return found
  }
}

function oneLine(text: string): string {
  return text.replace(/\s+/g, ' ').trim().slice(0, LONGEST_NOTE)
}
