import { Workspace } from '@tenantbox/workspace'
import { Notes } from './notes.js'
import { Reminders } from './reminders.js'
import { Settings } from './settings.js'

/** What one companion knows, in the files of its workspace. The agent writes it, the gateway's commands read it. */
export class Notebook {
  readonly workspace: Workspace
  readonly notes: Notes
  readonly reminders: Reminders
  readonly settings: Settings

  constructor(workspace: Workspace) {
    this.workspace = workspace
    this.notes = new Notes(workspace)
    this.reminders = new Reminders(workspace)
    this.settings = new Settings(workspace)
  }

  static async open(directory: string): Promise<Notebook> {
    return new Notebook(await Workspace.open(directory))
  }
}
