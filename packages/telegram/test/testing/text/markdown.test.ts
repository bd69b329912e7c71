import { expect, test } from 'vitest'
import { parseMarkdown } from '../../../src/testing/text/markdown.js'

const parse = (text: string) => parseMarkdown(text, () => undefined)

test('bold, italic, code, blocks and links, without nesting', () => {
  expect(parse('*a_b* _c_ `d*` [e](example.com)\n```js\nf```')).toEqual({
    text: 'a_b c d* e\nf',
    entities: [
      { type: 'bold', offset: 0, length: 3 },
      { type: 'italic', offset: 4, length: 1 },
      { type: 'code', offset: 6, length: 2 },
      { type: 'text_link', offset: 9, length: 1, url: 'http://example.com/' },
      { type: 'pre', offset: 11, length: 1, language: 'js' },
    ],
  })
})

test('four characters can be escaped, a backslash stays before any other', () => {
  expect(parse('\\*\\_\\`\\[ \\. a\\').text).toBe('*_`[ \\. a\\')
})

test.each([
  ['a *b', 2],
  ['👍_b', 4],
  ['`b', 0],
  ['```b', 0],
  ['[b', 0],
])('%s is not ended', (text, offset) => {
  expect(() => parse(text)).toThrow(
    `can't parse entities: Can't find end of the entity starting at byte offset ${offset}`,
  )
})
