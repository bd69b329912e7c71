import { existsSync, readdirSync, rmdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'

const ROOT = '/sys/fs/cgroup'

/** A cgroup is busy until the kernel has let go of its last process. In milliseconds. */
const PATIENCE = 5_000

/**
 * Lets paused boxes run. Under cgroup v1 a killed process does not die as long as it is frozen.
 *
 * @param {string} parent the cgroup that an engine made all its own in
 */
export function thawCgroups(parent) {
  const states = cgroups(parent).map((group) => join(group, 'freezer.state'))
  for (const state of states.filter((file) => existsSync(file)))
    unlessGone(() => writeFileSync(state, 'THAWED'))
}

/**
 * Removes all these cgroups, once the processes in them, which were killed, have ended.
 *
 * @param {string} parent
 */
export async function removeCgroups(parent) {
  thawCgroups(parent)
  for (const deadline = Date.now() + PATIENCE; ; await sleep(20)) {
    try {
      for (const group of cgroups(parent)) unlessGone(() => rmdirSync(group))
      return
    } catch (error) {
      if (codeOf(error) !== 'EBUSY' || Date.now() > deadline) throw error
    }
  }
}

/**
 * @param {string} parent
 * @returns {string[]} it and all in it, the deepest first, in every hierarchy: v1 has many, v2 one
 */
function cgroups(parent) {
  if (!existsSync(ROOT)) return []
  const roots = [ROOT, ...readdirSync(ROOT).map((name) => join(ROOT, name))]
  return roots.map((root) => join(root, parent)).flatMap(deepestFirst)
}

/**
 * @param {string} group
 * @returns {string[]}
 */
function deepestFirst(group) {
  const children = unlessGone(() => readdirSync(group, { withFileTypes: true })) ?? []
  const groups = children.filter((entry) => entry.isDirectory()).map(({ name }) => join(group, name))
  return existsSync(group) ? [...groups.flatMap(deepestFirst), group] : []
}

/**
 * @template T
 * @param {() => T} work
 */
function unlessGone(work) {
  try {
    return work()
  } catch (error) {
    if (codeOf(error) !== 'ENOENT' && codeOf(error) !== 'ENODEV') throw error
    return undefined
  }
}

/** @param {unknown} error */
function codeOf(error) {
  return /** @type {NodeJS.ErrnoException} */ (error).code
}
