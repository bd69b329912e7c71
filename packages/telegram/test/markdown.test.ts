import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { renderMarkdown } from '../src/text/markdown.js'

/** The text, and what of it is formatted: `bold(text)`. */
function shown(markdown: string): { text: string; formats: string[] } {
  const { text, entities } = renderMarkdown(markdown)
  const formats = entities.map((entity) => {
    const more =
      entity.type === 'pre' ? entity.language : entity.type === 'text_link' ? entity.url : undefined
    const covered = text.slice(entity.offset, entity.offset + entity.length)
    return `${entity.type}${more === undefined ? '' : `:${more}`}(${covered})`
  })
  return { text, formats }
}

describe('what models write', () => {
  test.each([
    [
      '**bold** and *italic* and ~~gone~~',
      'bold and italic and gone',
      ['bold(bold)', 'italic(italic)', 'strikethrough(gone)'],
    ],
    ['# Title\n\ntext', 'Title\n\ntext', ['bold(Title)']],
    ['`code` here', 'code here', ['code(code)']],
    ['```ts\nlet x = 1\n```', 'let x = 1', ['pre:ts(let x = 1)']],
    ['- one\n- two\n  - deeper', '• one\n• two\n  • deeper', []],
    ['3. three\n4. four', '3. three\n4. four', []],
    ['- [ ] open\n- [x] done', '☐ open\n☑ done', []],
    ['> quoted', 'quoted', ['blockquote(quoted)']],
    ['[a link](https://example.org)', 'a link', ['text_link:https://example.org(a link)']],
    ['[a path](docs/a.md)', 'a path (docs/a.md)', []],
    ['![alt](https://example.org/x.png)', 'alt', ['text_link:https://example.org/x.png(alt)']],
    ['[ref][1]\n\n[1]: https://example.org', 'ref', ['text_link:https://example.org(ref)']],
    ['see https://example.org/a?b=1', 'see https://example.org/a?b=1', []],
    ['http: and https://', 'http: and https://', []],
    ['https://a.b/__init__.py, `x`', 'https://a.b/__init__.py, x', ['code(x)']],
    [
      '**https://a.b/x_y_**: [https://a.b/*](c)',
      'https://a.b/x_y_: https://a.b/* (c)',
      ['bold(https://a.b/x_y_)'],
    ],
    ['<https://a.b>', 'https://a.b', []],
    ['[run](javascript:alert(1))', 'run (javascript:alert(1))', []],
    ['- a\n\n  b\n- c', '• a\n  \n  b\n\n• c', []],
    ['one\ntwo', 'one\ntwo', []],
    ['a\n\n---\n\nb', 'a\n\n———\n\nb', []],
    ['2 * 3 * 4 = 24, snake_case_name', '2 * 3 * 4 = 24, snake_case_name', []],
    ['<b>not markup</b>', '<b>not markup</b>', []],
    ['escaped \\*stars\\* &amp;', 'escaped *stars* &', []],
  ])('%j', (markdown, text, formats) => {
    expect(shown(markdown)).toEqual({ text, formats })
  })

  test('a table is set in columns', () => {
    const { text, formats } = shown('| a | long |\n| --- | --- |\n| 1 | 2 |\n| three | 4 |')
    expect(text).toBe('a     | long\n------+-----\n1     | 2\nthree | 4')
    expect(formats).toEqual([`pre(${text})`])
  })

  test('half of it, as it streams', () => {
    expect(shown('so **bol').text).toBe('so **bol')
    expect(shown('```py\nprint(')).toEqual({ text: 'print(', formats: ['pre:py(print()'] })
  })
})

test('code has no formatting around it but a quote', () => {
  expect(shown('**a `b` c**').formats).toEqual(['bold(a )', 'code(b)', 'bold( c)'])
  expect(shown('> a `b`').formats).toEqual(['blockquote(a b)', 'code(b)'])
  expect(shown('[a `b`](https://example.org)').formats).toEqual(['text_link:https://example.org(a b)'])
})

test('quotes do not nest', () => {
  expect(shown('> a\n>\n> > b').formats).toEqual(['blockquote(a\n\nb)'])
})

test('any text gives entities that lie in it, nested or apart', () => {
  const piece = fc.oneof(
    fc.constantFrom(
      '**',
      '*',
      '_',
      '`',
      '```',
      '> ',
      '- ',
      '1. ',
      '[',
      '](https://a.b)',
      '~~',
      '\n',
      '|',
      '#',
      '|-|',
    ),
    fc.string({ unit: 'binary', maxLength: 8 }),
    fc.constantFrom('word', 'two words', '👍'),
  )
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 40 }), (pieces) => {
      const { text, entities } = renderMarkdown(pieces.join(''))
      for (const { offset, length } of entities) {
        expect(length).toBeGreaterThan(0)
        expect(offset).toBeGreaterThanOrEqual(0)
        expect(offset + length).toBeLessThanOrEqual(text.length)
      }
      for (const one of entities)
        for (const other of entities)
          if (one.offset < other.offset && other.offset < one.offset + one.length)
            expect(other.offset + other.length).toBeLessThanOrEqual(one.offset + one.length)
    }),
    { numRuns: 1000 },
  )
})

test.each([
  ['quotes nested too deep to be read', `${'>'.repeat(5000)}x`],
  ['a table of a wide cell and many rows', `|${'w'.repeat(8000)}|b|\n|-|-|\n${'|c|d|\n'.repeat(4000)}`],
  [
    'a table of many columns and rows',
    `|${'a|'.repeat(1000)}\n|${'-|'.repeat(1000)}\n${'|b\n'.repeat(11_000)}`,
  ],
  ['a long address named over and over', `[a]: x${'u'.repeat(4000)}\n\n${'[a]'.repeat(10_000)}`],
  ['many lines indented deep', `${'- '.repeat(100)}a\n${'b\n'.repeat(2000)}`],
])('what would become far more than was written stays as it is written: %s', (_, markdown) => {
  const { text, entities } = renderMarkdown(markdown)
  expect(text === markdown).toBe(true)
  expect(entities).toEqual([])
})

test.each([
  ['emphasis that ends late', `${'**a '.repeat(4000)}${' b**'.repeat(4000)}`],
  [
    'lists in lists, with lines that may belong to any of them',
    `${Array.from({ length: 150 }, (_, deep) => `${' '.repeat(2 * deep)}- a\n`).join('')}${'b\n'.repeat(12_000)}`,
  ],
  ['quotes in quotes', '>'.repeat(49_000)],
  ['quotes that end where they begin', '# \n)\n> '.repeat(7_000)],
  ['addresses that are none', `${'http://'.repeat(3_000)}${'*'.repeat(20_000)}`],
])('what was written to be slow is shown, as it is written if need be: %s', (_, markdown) => {
  // Each took many seconds.
  expect(renderMarkdown(markdown).text.length).toBeGreaterThan(markdown.length / 3)
})
