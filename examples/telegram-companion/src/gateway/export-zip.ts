import { posix } from 'node:path'
import { isWorkspaceError, type Workspace } from '@tenantbox/workspace'
import { makeZip } from 'client-zip'
import { ZipNames } from './zip-names.js'

export interface ExportLimits {
  /** Of all files together. Telegram takes 50 MB from a bot. */
  readonly bytes: number
  /** And folders. */
  readonly files: number
  readonly depth: number
}

const TELEGRAM_LIMITS: ExportLimits = { bytes: 45_000_000, files: 5_000, depth: 32 }

/** There is more in the workspace than can be sent. */
export class ExportTooLarge extends Error {
  override readonly name = 'ExportTooLarge'
}

interface FoundFile {
  readonly path: string
  /** Its path in the zip. */
  readonly name: string
  readonly modifiedAt: Date
}

/**
 * All files of a workspace as a zip, read one after the other while it is being sent. What is no regular file is left
 * out, nothing is followed out of the workspace, and names are such that nothing is unpacked elsewhere: its owner may have
 * put anything there.
 *
 * @throws ExportTooLarge before there is a first byte or, should the files grow meanwhile, in the middle
 */
export async function exportZip(
  workspace: Workspace,
  limits: ExportLimits = TELEGRAM_LIMITS,
): Promise<AsyncIterable<Uint8Array>> {
  const files: FoundFile[] = []
  let bytes = 0
  let count = 0
  for await (const { kind, bytes: size, ...found } of allBelow(workspace, undefined, '', limits.depth)) {
    if (kind === 'file') {
      files.push(found)
      bytes += size
    }
    if (bytes > limits.bytes || ++count > limits.files) throw new ExportTooLarge()
  }
  return zipped(workspace, files, limits.bytes)
}

/** Opens nothing until it is read. */
async function* zipped(workspace: Workspace, files: readonly FoundFile[], most: number) {
  yield* makeZip(entries(workspace, files, most))
}

async function* allBelow(
  workspace: Workspace,
  folder: string | undefined,
  prefix: string,
  depth: number,
): AsyncGenerator<FoundFile & { kind: 'file' | 'directory'; bytes: number }> {
  const names = new ZipNames()
  for await (const { path, kind, bytes, modifiedAt } of workspace.files.list(folder)) {
    // What is being written this moment, and nobody's.
    if (path === '.tenantbox' || kind === 'other') continue
    const name = prefix + names.nameFor(posix.basename(path))
    yield { path, name, kind, bytes, modifiedAt }
    if (kind === 'file') continue
    if (depth === 0) throw new ExportTooLarge()
    yield* allBelow(workspace, path, `${name}/`, depth - 1)
  }
}

async function* entries(workspace: Workspace, files: readonly FoundFile[], most: number) {
  let bytes = 0
  async function* bounded(content: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
    for await (const chunk of content) {
      bytes += chunk.byteLength
      if (bytes > most) throw new ExportTooLarge()
      yield chunk
    }
  }
  for (const { path, name, modifiedAt } of files) {
    const content = await openIfThere(workspace, path)
    if (content) yield { name, lastModified: modifiedAt, input: bounded(content) }
  }
}

/** Between the listing and now the file may have been removed, or become something else. */
async function openIfThere(workspace: Workspace, path: string) {
  try {
    return await workspace.files.createReadStream(path)
  } catch (error) {
    if (isWorkspaceError(error, 'NOT_FOUND', 'NOT_A_FILE', 'NOT_A_DIRECTORY')) return undefined
    throw error
  }
}
