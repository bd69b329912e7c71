import { chmodSync, chownSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import fc from 'fast-check'
import MarkdownIt from 'markdown-it'
import { describe, expect, onTestFinished, test, vi } from 'vitest'
import { Workspace } from '../src/index.js'
import { sectionsOf } from '../src/sections.js'
import { temporaryFolder, temporaryWorkspace } from './support/folder.js'

describe('MEMORY.md', () => {
  test('a missing file is an empty one', async () => {
    const { workspace } = await temporaryWorkspace()
    expect(await workspace.memory.read()).toMatchObject({ text: '' })
    expect(await workspace.memory.sections()).toEqual([])
    expect(await workspace.memory.section('Anything')).toBeUndefined()
  })

  test('what is written is read, with the version that write told', async () => {
    const { workspace, folder } = await temporaryWorkspace()
    const { version } = await workspace.memory.write('# Anna\n')
    expect(await workspace.memory.read()).toEqual({ text: '# Anna\n', version })
    expect(readFileSync(join(folder, 'MEMORY.md'), 'utf8')).toBe('# Anna\n')
    expect(readdirSync(join(folder, '.tenantbox'))).toEqual([])
  })

  test('a write that expects another version is refused and changes nothing', async () => {
    const { workspace } = await temporaryWorkspace()
    const { version } = await workspace.memory.write('one')
    await workspace.memory.write('two', { ifVersion: version })
    await expect(workspace.memory.write('three', { ifVersion: version })).rejects.toMatchObject({
      code: 'VERSION_CONFLICT',
      details: { path: 'MEMORY.md', expected: version },
    })
    expect((await workspace.memory.read()).text).toBe('two')
  })

  test('a hundred edits at once through two workspaces lose none', async () => {
    const { workspace, folder } = await temporaryWorkspace()
    const other = await Workspace.open(folder)
    const edits = Array.from({ length: 100 }, (_, index) =>
      (index % 2 === 0 ? workspace : other).memory.edit((text) => `${text}${index}\n`),
    )
    await Promise.all(edits)
    const lines = (await workspace.memory.read()).text.trim().split('\n').map(Number)
    expect(lines.sort((one, two) => one - two)).toEqual(Array.from({ length: 100 }, (_, index) => index))
  })

  test('owner and mode survive a replacement; a new file is made to fit its folder', async (context) => {
    if (process.getuid?.() !== 0) return context.skip('needs root to give a folder to another user')
    const folder = temporaryFolder()
    chownSync(folder, 12_345, 23_456)
    chmodSync(folder, 0o770)
    const workspace = await Workspace.open(folder)
    await workspace.memory.write('new')
    expect(statSync(join(folder, 'MEMORY.md'))).toMatchObject({ uid: 12_345, gid: 23_456, mode: 0o100660 })
    chmodSync(join(folder, 'MEMORY.md'), 0o640)
    chownSync(join(folder, 'MEMORY.md'), 12_345, 1)
    await workspace.memory.write('newer')
    expect(statSync(join(folder, 'MEMORY.md'))).toMatchObject({ uid: 12_345, gid: 1, mode: 0o100640 })
    await workspace.session.append({ role: 'user', content: 'hello' })
    expect(statSync(join(folder, 'session.jsonl'))).toMatchObject({
      uid: 12_345,
      gid: 23_456,
      mode: 0o100660,
    })
    await workspace.files.write('notes/today.md', 'x')
    expect(statSync(join(folder, 'notes'))).toMatchObject({ uid: 12_345, gid: 23_456, mode: 0o040770 })
    expect(statSync(join(folder, 'notes/today.md'))).toMatchObject({ uid: 12_345, gid: 23_456 })
  })

  test('invalid UTF-8 is reported, a byte order mark is dropped', async () => {
    const { workspace, folder, problems } = await temporaryWorkspace()
    writeFileSync(join(folder, 'MEMORY.md'), Buffer.concat([Buffer.from('\ufeff# A\n'), Buffer.of(0xff)]))
    expect((await workspace.memory.read()).text).toBe('# A\n\ufffd')
    expect(problems).toMatchObject([{ file: 'MEMORY.md' }])
  })

  test('more than 1 MiB is refused in both directions', async () => {
    const { workspace, folder } = await temporaryWorkspace()
    await expect(workspace.memory.write('x'.repeat(2 ** 20 + 1))).rejects.toMatchObject({ code: 'TOO_LARGE' })
    writeFileSync(join(folder, 'MEMORY.md'), 'x'.repeat(2 ** 20 + 1))
    await expect(workspace.memory.read()).rejects.toMatchObject({
      code: 'TOO_LARGE',
      details: { limit: 2 ** 20 },
    })
  })
})

describe('sections', () => {
  const document = [
    'preamble',
    '# People',
    'all of them',
    '## Anna *B.*',
    '- likes tea',
    '```',
    '# not a heading',
    '```',
    '> # neither is this',
    '',
    'Setext',
    '------',
    'below',
    '# Places',
    '',
  ].join('\n')

  test('are found by real Markdown, with their sub-sections', async () => {
    const { workspace } = await temporaryWorkspace()
    await workspace.memory.write(document)
    const sections = await workspace.memory.sections()
    expect(sections.map(({ heading, depth }) => [heading, depth])).toEqual([
      ['People', 1],
      ['Anna B.', 2],
      ['Setext', 2],
      ['Places', 1],
    ])
    expect(await workspace.memory.section('Setext')).toBe('below')
    expect(await workspace.memory.section('Places')).toBe('')
    expect(await workspace.memory.section('People')).toContain('# not a heading')
    expect(await workspace.memory.section('People')).toContain('likes tea')
  })

  test.each([
    ['an empty document', '', '## Facts\n\n- new\n'],
    [
      'its own body, before sub-sections',
      '# Facts\n\n- old\n\n## Sub\n\nx\n',
      '# Facts\n\n- old\n- new\n\n## Sub\n\nx\n',
    ],
    ['an empty section', '# Facts\n# Next\n', '# Facts\n\n- new\n\n# Next\n'],
    ['a heading without a newline', '# Facts', '# Facts\n\n- new\n'],
    ['CRLF', '# Facts\r\n\r\n- old\r\n', '# Facts\r\n\r\n- old\r\n- new\r\n'],
    ['a code fence that was left open', '# Facts\n```js\ncode', '# Facts\n```js\ncode\n```\n- new\n'],
    [
      'a fence elsewhere that was left open',
      '# Code\n~~~~\ncode\n',
      '# Code\n~~~~\ncode\n~~~~\n\n## Facts\n\n- new\n',
    ],
    ['an HTML comment that was left open', '# A\n\n<!-- open\n', '# A\n\n## Facts\n\n- new\n\n<!-- open\n'],
  ])('are appended to: %s', async (_name, before, after) => {
    const { workspace } = await temporaryWorkspace()
    await workspace.memory.write(before)
    await workspace.memory.append('Facts', '- new')
    expect((await workspace.memory.read()).text).toBe(after)
    expect(await workspace.memory.section('Facts')).toContain('- new')
  })

  test('a line of dashes does not turn the paragraph above into a heading', async () => {
    const { workspace } = await temporaryWorkspace()
    await workspace.memory.write('# Facts\n\nsome text\n')
    await workspace.memory.append('Facts', '---')
    expect((await workspace.memory.sections()).map(({ heading }) => heading)).toEqual(['Facts'])
  })

  test.each(['', ' padded', 'two\nlines', 'x'.repeat(2000)])(
    'a heading %j cannot be made',
    async (heading) => {
      const { workspace } = await temporaryWorkspace()
      await expect(workspace.memory.append(heading, 'text')).rejects.toMatchObject({ code: 'INVALID_OPTION' })
    },
  )

  test('what is appended is found again, and nothing else is lost, whatever is there and whatever it is called', async () => {
    const { workspace } = await temporaryWorkspace()
    const heading = fc
      .string({ unit: 'grapheme-ascii', minLength: 1, maxLength: 30 })
      .map((text) => text.trim())
      .filter((text) => text !== '')
    const line = fc.oneof(
      fc.constantFrom(
        '',
        '# A',
        '## B *x*',
        'C\n===',
        '```',
        '~~~',
        '> # q',
        '- item',
        '<!--',
        '-->',
        '<div>',
        '    code',
        '***',
      ),
      fc.string({ unit: 'grapheme-ascii', maxLength: 20 }),
    )
    await fc.assert(
      fc.asyncProperty(
        fc.array(line, { maxLength: 12 }),
        fc.array(heading, { minLength: 1, maxLength: 3 }),
        async (lines, names) => {
          const before = lines.join('\n')
          await workspace.memory.write(before)
          for (const [index, name] of names.entries()) {
            await workspace.memory.append(name, `fact ${index} of it`)
            expect(await workspace.memory.section(name)).toContain(`fact ${index} of it`)
          }
          const { text } = await workspace.memory.read()
          for (const kept of lines.flatMap((item) => item.split('\n'))) expect(text).toContain(kept.trim())
        },
      ),
      { numRuns: 100 },
    )
  })

  test.each([
    ['headings', '# a\n'],
    ['quotes beside quotes', `${'>'.repeat(30)}\n\n`],
    ['definitions', '[a]: b\n\n'],
    ['brackets', '[\n\n'],
    ['headings full of stars', `# ${'*a_'.repeat(300)}\n`],
    ['ordinary text', '# Heading\n\nsome *text* and [a](b)\n- x\n\n'],
  ])('others get their turns while many %s are parsed', async (_name, text) => {
    const { workspace } = await temporaryWorkspace()
    await workspace.memory.write(text.repeat(2 ** 18 / text.length))
    let turns = 0
    const count = (): void => {
      turns++
      next = setImmediate(count)
    }
    let next = setImmediate(count)
    await workspace.memory.sections()
    clearImmediate(next)
    // One for each window at the least.
    expect(turns).toBeGreaterThan(5)
  })

  test('however many there are, they are never worked through in one go', { timeout: 60_000 }, async () => {
    const began = performance.now()
    let last = began
    let longest = 0
    const look = (): void => {
      longest = Math.max(longest, performance.now() - last)
      last = performance.now()
      next = setImmediate(look)
    }
    let next = setImmediate(look)
    expect(await sectionsOf('#\n## a\n'.repeat(32_000))).toHaveLength(64_000)
    clearImmediate(next)
    longest = Math.max(longest, performance.now() - last)
    // Where each ends is found in one pass; looking for it from each anew took most of the time, and all of it at once.
    expect(longest).toBeLessThan((performance.now() - began) / 2)
  })

  test('blanks without an end are appended as they are', async () => {
    const { workspace } = await temporaryWorkspace()
    const text = `${' '.repeat(200_000)}x`
    await workspace.memory.append('Facts', text)
    expect((await workspace.memory.read()).text).toBe(`## Facts\n\n${text}\n`)
  })

  test.each([
    ['quotes in quotes', `${'> '.repeat(35)}x\n\n`],
    ['lists in lists', `${'- '.repeat(15)}x\n* x\n`],
    ['lines behind code in quotes', `${'> > > > > > ```\ny\n'.repeat(500)}\n# a\n`],
    ['lists as long as may be', `${'- a\n'.repeat(1000)}# a\n`],
    ['paragraphs just too long for half a window', `${'a\n'.repeat(513)}\n`],
    ['marked headings', '# *a*\n'],
    ['headings of two lines', 'a\n=\n'],
    ['definitions', '[a]: b\n'],
  ])('of many %s the parser gets nothing more than three times', async (_name, text) => {
    const parse = vi.spyOn(Object.getPrototypeOf(new MarkdownIt().block), 'parse')
    onTestFinished(() => parse.mockRestore())
    const document = text.repeat(2 ** 17 / text.length)
    await sectionsOf(document)
    const given = parse.mock.calls.reduce((sum, [source]) => sum + String(source).length, 0)
    expect(given).toBeGreaterThanOrEqual(document.length - 1)
    expect(given).toBeLessThanOrEqual(3 * document.length)
  })

  test('behind what is nested deep are found, and what is nested deeper is refused', async () => {
    const nested = (depth: number) =>
      `${Array.from({ length: depth }, (_, level) => `${'  '.repeat(level)}- x`).join('\n')}\n# Behind\n`
    const found = await sectionsOf(nested(19))
    expect(found.map(({ heading }) => heading)).toEqual(['Behind'])
    for (const document of [nested(20), `${'> '.repeat(40)}x\n\n# Behind\n`, '1. '.repeat(1000)])
      await expect(sectionsOf(document)).rejects.toMatchObject({ code: 'INVALID_FILE' })
  })

  test.each([
    ['a list', '- a\n'.repeat(2 ** 18)],
    ['quotes in quotes in a list', `- ${'> '.repeat(40)}x\n`.repeat(2 ** 13)],
    ['a paragraph', 'aaa\n'.repeat(2 ** 18)],
  ])('%s without an end is refused', async (_name, text) => {
    const { workspace } = await temporaryWorkspace()
    await workspace.memory.write(text.slice(0, 2 ** 20))
    await expect(workspace.memory.sections()).rejects.toMatchObject({ code: 'INVALID_FILE' })
  })
})
