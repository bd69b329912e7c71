import { createHash } from 'node:crypto'
import { TenantBoxError } from './errors.js'

const PLAIN_SLUG = /^[a-z0-9]([a-z0-9-]{0,36}[a-z0-9])?$/
const POOL_NAME = /^[a-z][a-z0-9]{0,19}$/
const CONTROL = /\p{Cc}/u
const MAX_ID_BYTES = 256

/**
 * The filesystem- and DNS-safe name of a tenant: the id itself where that is safe already, else
 * `<up to 20 safe characters>--<first 16 base32 characters of SHA-256(id)>`. Different ids have different slugs, also
 * on filesystems that fold case; ids are compared by their exact code units, never normalised.
 *
 * @throws TenantBoxError `INVALID_TENANT` for what is no id: not a string, empty, over 256 bytes of UTF-8, with
 * control characters or lone surrogates.
 */
export function slugOf(tenant: string): string {
  assertTenantId(tenant)
  if (PLAIN_SLUG.test(tenant) && !tenant.includes('--')) return tenant
  const readable = tenant
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, '-')
    .replace(/^-+/, '')
    .slice(0, 20)
    .replace(/-+$/, '')
  return `${readable || 'x'}--${base32(createHash('sha256').update(tenant, 'utf8').digest()).slice(0, 16)}`
}

function assertTenantId(tenant: unknown): asserts tenant is string {
  const reason =
    typeof tenant !== 'string'
      ? `must be a string, got ${tenant === null ? 'null' : typeof tenant}`
      : tenant === ''
        ? 'must not be empty'
        : Buffer.byteLength(tenant) > MAX_ID_BYTES
          ? `must be at most ${MAX_ID_BYTES} bytes of UTF-8, got ${Buffer.byteLength(tenant)}`
          : CONTROL.test(tenant)
            ? 'must not contain control characters'
            : !tenant.isWellFormed()
              ? 'must be well-formed Unicode, got a lone surrogate'
              : undefined
  if (reason !== undefined)
    throw new TenantBoxError(
      'INVALID_TENANT',
      `The tenant id ${reason}. Pass the id your app knows its user by.`,
      { reason },
    )
}

/** Whether `name` can name a pool: it becomes part of every box's name. */
export function isPoolName(name: string): boolean {
  return POOL_NAME.test(name)
}

/** The exact name a box has at the engine. */
export function boxName(pool: string, slug: string): string {
  return `tbx-${pool}-${slug}`
}

/** The name of an old box that was set aside while its successor is tried. No slug contains a dot. */
export function asideName(pool: string, slug: string): string {
  return `${boxName(pool, slug)}.aside`
}

/** Labels that every box carries. A box is ours only if owner, tenant and exact name agree. */
export const LABELS = {
  pool: 'dev.tenantbox.pool',
  owner: 'dev.tenantbox.owner',
  tenant: 'dev.tenantbox.tenant',
  spec: 'dev.tenantbox.spec',
  version: 'dev.tenantbox.version',
} as const

/** RFC 4648 base32 in lower case, without padding. */
function base32(bytes: Uint8Array): string {
  const alphabet = 'abcdefghijklmnopqrstuvwxyz234567'
  let out = ''
  let bits = 0
  let value = 0
  for (const byte of bytes) {
    value = (value << 8) | byte
    bits += 8
    while (bits >= 5) {
      out += alphabet[(value >>> (bits - 5)) & 31]
      bits -= 5
    }
    value &= (1 << bits) - 1
  }
  return out
}
