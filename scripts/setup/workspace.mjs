import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { ROOT } from './paths.mjs'

/** What goes to the registry. */
export const PUBLISHED = ['@tenantbox/core', '@tenantbox/workspace', '@tenantbox/telegram']

/**
 * A package of this repository; `needs` names the others it is built on.
 * @typedef {{ name: string, dir: string, builds: boolean, needs: string[] }} WorkspacePackage
 */

/** @returns {WorkspacePackage[]} */
export function workspacePackages() {
  const parents = ['packages', 'examples'].map((parent) => join(ROOT, parent))
  const folders = parents.flatMap((parent) => readdirSync(parent).map((name) => join(parent, name)))
  return [...folders, join(ROOT, 'bench')]
    .filter((dir) => existsSync(join(dir, 'package.json')))
    .map((dir) => {
      const { name, scripts = {}, dependencies = {}, devDependencies = {} } = readManifest(dir)
      const all = Object.entries({ ...dependencies, ...devDependencies })
      const needs = all.filter(([, version]) => version.startsWith('workspace:')).map(([need]) => need)
      return { name, dir, builds: 'build' in scripts, needs }
    })
}

/**
 * @param {string} dir
 * @returns {{ name: string, packageManager?: string, scripts?: Record<string, string>, dependencies?: Record<string, string>, devDependencies?: Record<string, string> }}
 */
export function readManifest(dir) {
  return JSON.parse(readFileSync(join(dir, 'package.json'), 'utf8'))
}
