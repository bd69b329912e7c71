import type { BoxIdentity, BoxRef, PoolIdentity } from '../driver.js'
import { isTenantBoxError } from '../errors.js'
import { asideName, boxName, LABELS, slugOf } from '../identity.js'

/** Which layout of labels, folders and environment a box was made with. */
const VERSION = '1'

type Labels = Readonly<Record<string, string>>

/** A box of this pool, and whether it was set aside. */
export interface Owned {
  readonly ref: BoxRef
  readonly aside: boolean
}

export function boxLabels(pool: PoolIdentity, identity: BoxIdentity): Labels {
  return { ...poolLabels(pool), [LABELS.tenant]: identity.tenant, [LABELS.spec]: identity.spec }
}

/** Labels of everything that the pool makes at the engine. */
export function poolLabels(pool: PoolIdentity): Labels {
  return { [LABELS.pool]: pool.name, [LABELS.owner]: pool.owner, [LABELS.version]: VERSION }
}

/** The same as filters of the engine. They only narrow: an image can carry our labels into a stranger's container. */
export function ownerFilter(pool: PoolIdentity): string[] {
  return [`${LABELS.pool}=${pool.name}`, `${LABELS.owner}=${pool.owner}`]
}

export function hasPoolLabels(pool: PoolIdentity, labels: Labels): boolean {
  return labels[LABELS.pool] === pool.name && labels[LABELS.owner] === pool.owner
}

/** Whose box this is: ours only if the labels of pool, owner and tenant and the exact name all agree. */
export function ownedBox(pool: PoolIdentity, id: string, name: string, labels: Labels): Owned | undefined {
  const tenant = labels[LABELS.tenant]
  if (tenant === undefined || !hasPoolLabels(pool, labels)) return undefined
  const slug = slugOfLabel(tenant)
  if (slug === undefined) return undefined
  const plain = name.replace(/^\//, '')
  if (plain === boxName(pool.name, slug)) return { ref: { id, tenant, slug }, aside: false }
  if (plain === asideName(pool.name, slug)) return { ref: { id, tenant, slug }, aside: true }
  return undefined
}

function slugOfLabel(tenant: string): string | undefined {
  try {
    return slugOf(tenant)
  } catch (error) {
    if (isTenantBoxError(error, 'INVALID_TENANT')) return undefined
    throw error
  }
}
