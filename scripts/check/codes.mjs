import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { ROOT } from '../setup/paths.mjs'
import { SetupError } from '../setup/terminal.mjs'
import { readDocument } from './documents.mjs'

const DOCUMENT = 'docs/errors-and-warnings.md'

/** The tables of the document by their headings, and which declaration each of them explains. */
const TABLES = {
  'Errors of core': { file: 'core/src/errors.ts', declaration: 'interface ErrorDetails' },
  'Errors of workspace': { file: 'workspace/src/errors.ts', declaration: 'interface WorkspaceErrorDetails' },
  'Errors of telegram': { file: 'telegram/src/common/errors.ts', declaration: 'type TelegramErrorCode' },
  'Warnings of core': { file: 'core/src/warnings.ts', declaration: 'type WarningCode' },
  'Warnings of telegram': {
    file: 'telegram/src/common/warnings.ts',
    declaration: 'interface TelegramWarning',
  },
}

/** Every code is in a table and in the sources: that none else is used there is for the types to see. */
export async function codes() {
  const used = usedCodes()
  const wrong = Object.entries(TABLES).flatMap(([heading, { file, declaration }]) => {
    const declared = declaredCodes(file, declaration)
    const explained = explainedCodes(heading)
    return [
      ...missing(declared, explained, `is not in the table "${heading}" of ${DOCUMENT}`),
      ...missing(
        explained,
        declared,
        `is in the table "${heading}" of ${DOCUMENT}, but no code of ${declaration}`,
      ),
      ...missing(declared, used, `is a code of ${declaration}, but nothing in the sources uses it`),
    ]
  })
  if (wrong.length > 0) throw new SetupError(wrong.join('\n'))
}

/**
 * @param {readonly string[]} some
 * @param {readonly string[]} others
 * @param {string} what is wrong with those of `some` that are not among the `others`
 */
function missing(some, others, what) {
  return some.filter((code) => !others.includes(code)).map((code) => `${code} ${what}`)
}

/**
 * @param {string} file
 * @param {string} declaration
 */
function declaredCodes(file, declaration) {
  const text = readFileSync(join(ROOT, 'packages', file), 'utf8')
  const [, body = ''] = text.split(`export ${declaration} `)
  const [members = ''] = body.replace(/\/\*\*.*?\*\//gs, '').split('\n\n')
  return all(members, /'([A-Z_]+)'|^ {2}([A-Z_]+):/gm, `${declaration} in packages/${file}`)
}

/** @param {string} heading */
function explainedCodes(heading) {
  const [, section = ''] = readDocument(DOCUMENT).split(`\n## ${heading}\n`)
  const [own = ''] = section.split('\n## ')
  const cells = all(own, /^\| (`.*?) \|/gm, `"${heading}" of ${DOCUMENT}`)
  return cells.flatMap((cell) => all(cell, /`([A-Z_]+)`/g, cell))
}

/** What errors are made with and warnings given: the first argument of a call, or the second; not what is asked for. */
function usedCodes() {
  const packages = join(ROOT, 'packages')
  const files = readdirSync(packages, { recursive: true, encoding: 'utf8' }).filter((file) =>
    /^\w+\/src\/.*\.ts$/.test(file),
  )
  const texts = files.map((file) => readFileSync(join(packages, file), 'utf8'))
  return all(texts.join('\n'), /(?<!\bis\w+Error)\(\s*(?:[\w.]+,\s*)?'([A-Z_]+)',/g, 'the sources')
}

/**
 * @param {string} text
 * @param {RegExp} pattern
 * @param {string} where for people
 * @returns {string[]} the group of each match that has matched
 */
function all(text, pattern, where) {
  const found = [...text.matchAll(pattern)].flatMap(([, ...groups]) => groups.filter((group) => group))
  if (found.length === 0) throw new SetupError(`No codes were found in ${where}.`)
  return found
}
