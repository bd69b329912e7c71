import { existsSync, readdirSync, rmdirSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'

const ROOT = '/sys/fs/cgroup'

/** A cgroup is busy until the kernel has let go of its last process. In milliseconds. */
const PATIENCE = 5_000

/**
 * Removes the cgroups that an engine made beneath its own parent cgroup, and that parent.
 *
 * @param {string} parent
 */
export async function removeCgroups(parent) {
  if (!existsSync(ROOT)) return
  // cgroup v1 has a tree for each controller, v2 one for all.
  const trees = [ROOT, ...readdirSync(ROOT).map((name) => join(ROOT, name))]
  for (const tree of trees.map((path) => join(path, parent)).filter((path) => existsSync(path)))
    for (const group of deepestFirst(tree)) await remove(group)
}

/**
 * @param {string} group
 * @returns {string[]}
 */
function deepestFirst(group) {
  const children = readdirSync(group, { withFileTypes: true }).filter((entry) => entry.isDirectory())
  return [...children.flatMap(({ name }) => deepestFirst(join(group, name))), group]
}

/** @param {string} group */
async function remove(group) {
  for (const deadline = Date.now() + PATIENCE; ; await sleep(10)) {
    try {
      return rmdirSync(group)
    } catch (error) {
      const code = /** @type {NodeJS.ErrnoException} */ (error).code
      if (code === 'ENOENT') return
      if (code !== 'EBUSY' || Date.now() > deadline) throw error
    }
  }
}
