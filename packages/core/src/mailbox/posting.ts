import type { Ledger } from './ledger.js'
import type { Bound } from './mailbox-errors.js'
import type { Letter } from './maildir.js'

/** What somebody has posted, and waits for. */
export interface Post {
  readonly id: string
  readonly key: string
  readonly text: string
  /** How much of the bounds it may fill, from 0 to 1. */
  readonly share: number
  resolve(result: { duplicate: boolean }): void
  reject(error: unknown): void
}

/** A message to be stored, and the posts of it: more than one when it was posted again meanwhile. */
interface Fresh {
  readonly letter: Letter
  readonly posts: Post[]
}

export interface Bounds {
  readonly maxDepth: number
  readonly maxWaiting: number
  /** Messages waiting in all mailboxes. */
  readonly waiting: number
}

export interface Sorted {
  readonly fresh: readonly Fresh[]
  readonly known: readonly Post[]
  readonly refused: readonly { readonly post: Post; readonly reached: Bound }[]
}

/** How the first message is stored: to wait, or with its attempt begun. */
export type First = 'to wait' | 'begun'

/**
 * Which posts are to be stored, under which names; which are known, and which find no room. No I/O.
 *
 * @param since what was handled before is known no longer
 */
export function sortPosts(
  posts: readonly Post[],
  ledger: Ledger,
  { since, bounds, first }: { since: number; bounds: Bounds; first: First },
): Sorted {
  const fresh = new Map<string, Fresh>()
  const known: Post[] = []
  const refused: { post: Post; reached: Bound }[] = []
  for (const post of posts) {
    const { key, text, share } = post
    const same = fresh.get(key)
    const reached = reachedBy(ledger.depth + fresh.size, bounds.waiting + fresh.size, bounds, share)
    if (same) same.posts.push(post)
    else if (ledger.knows(key, since)) known.push(post)
    else if (reached) refused.push({ post, reached })
    else {
      const attempts = first === 'begun' && fresh.size === 0 ? 1 : 0
      const entry = { sequence: ledger.number(), key, attempts }
      fresh.set(key, { letter: { entry, text }, posts: [post] })
    }
  }
  return { fresh: [...fresh.values()], known, refused }
}

function reachedBy(
  depth: number,
  waiting: number,
  { maxDepth, maxWaiting }: Bounds,
  share: number,
): Bound | undefined {
  const bounds: Bound[] = [
    { bound: 'tenant', depth, limit: Math.ceil(maxDepth * share) },
    { bound: 'total', depth: waiting, limit: Math.ceil(maxWaiting * share) },
  ]
  return bounds.find(({ depth, limit }) => depth >= limit)
}
