import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'
import { ROOT } from '../setup/paths.mjs'
import { SetupError } from '../setup/terminal.mjs'
import { workspacePackages } from '../setup/workspace.mjs'

/** @returns {readonly string[]} all documents, as paths from the root */
export function documents() {
  const folders = [ROOT, join(ROOT, 'docs'), ...workspacePackages().map(({ dir }) => dir)]
  return folders.flatMap((folder) =>
    readdirSync(folder)
      .filter((name) => name.endsWith('.md'))
      .map((name) => relative(ROOT, join(folder, name))),
  )
}

/** @param {string} document */
export function readDocument(document) {
  return readFileSync(join(ROOT, document), 'utf8')
}

/** Every link within this repository leads to a file that is there, and to a heading that is in it. */
export async function links() {
  const broken = documents().flatMap((document) => {
    const targets = [...withoutCode(document).matchAll(/\]\(([^)\s]+)\)/g)].map(([, target = '']) => target)
    return targets.filter((target) => !leads(document, target)).map((target) => `${document}: ${target}`)
  })
  if (broken.length > 0) throw new SetupError(`These links lead nowhere:\n${broken.join('\n')}`)
}

/**
 * @param {string} document
 * @param {string} target
 */
function leads(document, target) {
  if (/^https:\/\//.test(target)) return true
  const [path = '', anchor] = target.split('#')
  const file = path === '' ? document : join(dirname(document), path)
  if (!existsSync(join(ROOT, file))) return false
  return anchor === undefined || headingsOf(file).includes(anchor)
}

/**
 * @param {string} document
 * @returns {string[]} as their anchors are written
 */
function headingsOf(document) {
  return [...withoutCode(document).matchAll(/^#+ (.+)$/gm)].map(([, heading = '']) =>
    heading
      .toLowerCase()
      .replace(/[^\p{L}\p{N}_ -]/gu, '')
      .replaceAll(' ', '-'),
  )
}

/** @param {string} document */
function withoutCode(document) {
  return readDocument(document).replace(/^```[\s\S]*?^```$/gm, '')
}
