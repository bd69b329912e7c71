import { TenantBoxError } from '../errors.js'
import type { Missed } from './measure.js'

const WHY: Record<Missed, string> = {
  entries: 'there are more files than the pool counts',
  time: 'there was no time to count them all',
  unreadable: 'this process may not read all of its folders',
  filesystem: 'another filesystem lies in its folders',
  moved: 'its folders were moved about while they were measured',
}

/** What its callers are told of a tenant that may not wake. */
export function overQuota(
  tenant: { readonly id: string },
  { bytes, missed }: { readonly bytes: number; readonly missed: Missed | undefined },
  limit: number,
): TenantBoxError<'OVER_QUOTA'> {
  const use = missed && bytes <= limit ? `an unknown number of bytes (${WHY[missed]})` : `${bytes} bytes`
  return new TenantBoxError(
    'OVER_QUOTA',
    `Tenant ${JSON.stringify(tenant.id)} has ${use} on disk, where limits.disk allows ${limit}: its box is not started. Delete files in its workspace, or raise the limit; the next wake measures again.`,
    { bytes, limit },
    { tenant: tenant.id },
  )
}

/** What the operator is told when a measurement is not whole. */
export function notCounted(tenant: { readonly id: string }, missed: Missed): string {
  const so = missed === 'time' ? 'What was decided before stays' : 'That counts as over the limit'
  return `The disk use of tenant ${JSON.stringify(tenant.id)} could not be measured: ${WHY[missed]}. ${so}.`
}

/** A tenant whose files are where this pool does not look for them. */
export function inAnImage(tenant: { readonly id: string }): TenantBoxError<'INVALID_OPTION'> {
  return new TenantBoxError(
    'INVALID_OPTION',
    `The files of tenant ${JSON.stringify(tenant.id)} are in a disk image, which disk: 'image' has made: without that its workspace would be empty. Start the pool with disk: 'image', or move the files out first.`,
    { option: 'disk', expected: "'image'", got: "'watch'" },
    { tenant: tenant.id },
  )
}
