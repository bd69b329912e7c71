import { existsSync, readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'

const read = (path: string) => readFileSync(new URL(path, import.meta.url), 'utf8')
const DOCS = read('../../../docs/security.md')
/** The last column of each row of its tables that names one. */
const SHOWN_BY = [...DOCS.matchAll(/^\|.*\| ([^|]+) \|$/gm)].map((row) => row[1] ?? '')

describe('docs/security.md', () => {
  it('names tests that exist', () => {
    const files = new Set([...DOCS.matchAll(/`([\w./-]+\.ts)`/g)].map((match) => match[1] ?? ''))
    expect(files.size).toBeGreaterThan(10)
    const missing = [...files].filter(
      (file) =>
        !['./', './isolation/', '../../'].some((folder) =>
          existsSync(new URL(folder + file, import.meta.url)),
        ),
    )
    expect(missing).toEqual([])
  })

  it('names checks of section 5 that are made', () => {
    const numbers = SHOWN_BY.flatMap((cell) => cell.match(/\b5\.\d+/g) ?? [])
    expect(numbers.length).toBeGreaterThan(20)
    const made = new Set(read('./isolation/cis.engine.test.ts').match(/(?<=['( ])5\.\d+(?=[ ,])/g))
    expect(numbers.filter((number) => !made.has(number))).toEqual([])
  })

  it('has every check of section 5, in order', () => {
    const checks = [...DOCS.matchAll(/^\| 5\.(\d+) /gm)].map((row) => Number(row[1]))
    expect(checks).toEqual(Array.from({ length: 32 }, (_, index) => index + 1))
  })
})
