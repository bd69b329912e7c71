import { randomBytes, randomUUID } from 'node:crypto'
import { TenantBoxError } from './errors.js'
import { readJson, writeAtomically } from './json-file.js'

/** Whose a data folder is. */
interface PoolFile {
  readonly version: 1
  readonly name: string
  /** Tells two pools of the same name apart, for good. */
  readonly owner: string
  /** Hex, 32 bytes. */
  readonly key: string
}

/**
 * Reads a data folder's `pool.json`, or makes it at the first start.
 *
 * @throws TenantBoxError `INVALID_OPTION` when it is another pool's, or not to be read
 */
export async function openPoolFile(path: string, name: string): Promise<PoolFile> {
  const found = readJson(path)
  if (found === undefined) {
    const fresh: PoolFile = { version: 1, name, owner: randomUUID(), key: randomBytes(32).toString('hex') }
    await writeAtomically(path, JSON.stringify(fresh))
    return fresh
  }
  if (!isPoolFile(found))
    throw new TenantBoxError(
      'INVALID_OPTION',
      `${path} is not readable as a pool's. Restore it from a backup, or use another dataDir: without it the pool cannot tell its own boxes.`,
      { option: 'dataDir', expected: 'a folder of this pool', got: 'an unreadable pool.json' },
    )
  if (found.name !== name)
    throw new TenantBoxError(
      'INVALID_OPTION',
      `dataDir belongs to the pool named ${JSON.stringify(found.name)}, not ${JSON.stringify(name)}. Give every pool a dataDir of its own.`,
      { option: 'name', expected: found.name, got: name },
    )
  return found
}

function isPoolFile(value: unknown): value is PoolFile {
  if (value === null || typeof value !== 'object') return false
  const { name, owner, key } = value as { name?: unknown; owner?: unknown; key?: unknown }
  return (
    typeof name === 'string' &&
    typeof owner === 'string' &&
    typeof key === 'string' &&
    /^[0-9a-f]{64}$/.test(key)
  )
}
