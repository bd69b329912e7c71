import { randomUUID } from 'node:crypto'
import type { StandardSchemaV1 } from '@standard-schema/spec'
import type { NewEntry, SessionEntry } from './entry.js'
import { entryFault } from './entry-check.js'
import { tooLarge, WorkspaceError } from './errors.js'
import { isObject, type Json } from './json.js'
import { LINE_LIMIT } from './line-reader.js'
import { checkWith } from './schema.js'
import { SESSION_FILE } from './session-file.js'

/** Fills in what a new entry leaves open, checks it, and makes its line. */
export async function composeEntry(
  entry: NewEntry,
  schema: StandardSchemaV1<Json, Json> | undefined,
): Promise<{ line: Buffer; entry: SessionEntry }> {
  if (!isObject(entry)) throw invalidEntry('must be an object')
  const { id = randomUUID(), at = new Date().toISOString(), ...rest } = entry
  const text = serialise({ id, at, ...rest, ...(await checkedMeta(entry.meta, schema)) })
  // What is checked is what stands in the file: without undefined values, toJSON called.
  const written: unknown = JSON.parse(text)
  const fault = entryFault(written, 'write')
  if (fault !== undefined) throw invalidEntry(fault)
  const line = Buffer.from(`${text}\n`)
  if (line.length > LINE_LIMIT)
    throw tooLarge(
      SESSION_FILE,
      line.length,
      LINE_LIMIT,
      'Put large content into a file, and a part of type file into the entry.',
    )
  return { line, entry: written as SessionEntry }
}

async function checkedMeta(
  meta: Json | undefined,
  schema: StandardSchemaV1<Json, Json> | undefined,
): Promise<{ meta?: Json }> {
  if (meta === undefined) return {}
  const checked = await checkWith(schema, meta)
  if ('fault' in checked) throw invalidEntry(`meta ${checked.fault}`)
  return { meta: checked.value }
}

function serialise(value: unknown): string {
  try {
    return JSON.stringify(value)
  } catch (error) {
    throw invalidEntry('cannot be written as JSON', error)
  }
}

function invalidEntry(reason: string, cause?: unknown): WorkspaceError<'INVALID_ENTRY'> {
  return new WorkspaceError(
    'INVALID_ENTRY',
    `This is no entry of a session: ${reason}.`,
    { reason },
    { cause },
  )
}
