import { mkdtempSync, realpathSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { onTestFinished } from 'vitest'
import type { Problem } from '../../src/index.js'
import { Workspace } from '../../src/index.js'

/** Ten thousand folders take their time on a busy disk. */
const REMOVAL_MS = 300_000

/** A folder that is removed after the test. */
export function temporaryFolder(): string {
  const folder = realpathSync(mkdtempSync(join(tmpdir(), 'tenantbox-workspace-')))
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }), REMOVAL_MS)
  return folder
}

/** An empty workspace, and what it reports. */
export async function temporaryWorkspace(): Promise<{
  workspace: Workspace
  folder: string
  problems: Problem[]
}> {
  const folder = temporaryFolder()
  const problems: Problem[] = []
  const workspace = await Workspace.open(folder, { onProblem: (problem) => problems.push(problem) })
  return { workspace, folder, problems }
}

/** Everything an iteration yields. */
export async function all<T>(items: AsyncIterable<T>): Promise<T[]> {
  const found: T[] = []
  for await (const item of items) found.push(item)
  return found
}
