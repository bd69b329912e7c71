import { readFile } from 'node:fs/promises'

/** Uids or gids that somebody has on this machine already, both ends included. */
export interface AssignedIds {
  readonly first: number
  readonly last: number
  /** Who, for people: `user alice (/etc/passwd)`. */
  readonly holder: string
}

/** Accounts have their number in the third field; a subordinate range has its start and length in the second and third. */
const FILES = [
  { path: '/etc/passwd', kind: 'user', single: true },
  { path: '/etc/group', kind: 'group', single: true },
  { path: '/etc/subuid', kind: 'subordinate uids of', single: false },
  { path: '/etc/subgid', kind: 'subordinate gids of', single: false },
] as const

/** Everything the machine's own files assign. Users of a directory service are not among them. */
export async function readAssignedIds(): Promise<readonly AssignedIds[]> {
  const all = await Promise.all(
    FILES.map(async ({ path, kind, single }) => parseAssigned(await textOf(path), kind, path, single)),
  )
  return all.flat()
}

/** The lines of one file that can be read as an assignment. */
export function parseAssigned(text: string, kind: string, path: string, single: boolean): AssignedIds[] {
  return text.split('\n').flatMap((line) => {
    const [name = '', second = '', third = ''] = line.split(':')
    const first = Number(single ? third : second)
    const last = single ? first : first + Number(third) - 1
    const isRange = line !== '' && Number.isInteger(first) && Number.isInteger(last) && last >= first
    return isRange ? [{ first, last, holder: `${kind} ${name} (${path})` }] : []
  })
}

/** Those that lie, in part at least, in a range. */
export function within(
  assigned: readonly AssignedIds[],
  range: { readonly first: number; readonly last: number },
): readonly AssignedIds[] {
  return assigned.filter(({ first, last }) => first <= range.last && last >= range.first)
}

async function textOf(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8')
  } catch {
    // A machine without it assigns nothing by it.
    return ''
  }
}
