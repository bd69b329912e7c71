import { dirname } from 'node:path'
import type { Clock } from '../../src/clock.js'
import type { Lease } from '../../src/index.js'
import type { DurableFiles } from '../../src/mailbox/durable-files.js'
import { formatMessage } from '../../src/mailbox/message-file.js'
import { PostOffice, type PostOfficeOptions } from '../../src/mailbox/post-office.js'

/** A mailbox in one life of a process, on whatever disk and without a pool. */
export interface Life {
  readonly office: PostOffice<string>
  readonly warnings: string[]
  post(tenant: string, id: string): Promise<{ duplicate: boolean }>
}

export function live(options: {
  readonly clock: Clock
  readonly files: DurableFiles
  /** Where the tenants' folders are. */
  readonly root: string
  readonly tenants: readonly string[]
  readonly handle: PostOfficeOptions<string>['handle']
  readonly limits?: Partial<Omit<PostOfficeOptions<string>, 'access' | 'pool' | 'files' | 'handle'>>
}): Life {
  const { clock, files, root, tenants, handle, limits } = options
  const warnings: string[] = []
  const pathOf = (tenant: string): string => `${root}/${tenant}/mailbox`
  const office = new PostOffice<string>({
    files,
    handle,
    concurrency: 8,
    maxAttempts: 3,
    maxDepth: 1_000,
    maxWaiting: 10_000,
    keepDoneMs: 24 * 3_600_000,
    ...limits,
    pool: { lease: async () => boxless() },
    access: {
      clock,
      warn: (code) => warnings.push(code),
      folders: async () => ({
        known: () => tenants.map((id) => ({ id })),
        mailboxOf: pathOf,
        ensureFolder: (tenant) => files.makeFolder(dirname(pathOf(tenant))),
      }),
    },
  })
  return {
    office,
    warnings,
    post: (tenant, id) =>
      office.post(tenant, id, formatMessage(tenant, { id, body: id, postedAt: clock.now() }), 1),
  }
}

function boxless(): Lease {
  throw new Error('these handlers ask for no box')
}
