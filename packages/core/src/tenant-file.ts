/** A tenant's `tenant.json`: whose folder it is. The file's mtime is the last activity. */
interface TenantFile {
  readonly version: 1
  readonly id: string
  readonly createdAt: string
  readonly uid?: number
}

export function newTenantFile(id: string, uid: number | undefined): TenantFile {
  return { version: 1, id, createdAt: new Date().toISOString(), ...(uid === undefined ? {} : { uid }) }
}

export function isTenantFile(value: unknown): value is TenantFile {
  if (value === null || typeof value !== 'object') return false
  const { id, uid } = value as { id?: unknown; uid?: unknown }
  return typeof id === 'string' && (uid === undefined || Number.isSafeInteger(uid))
}
