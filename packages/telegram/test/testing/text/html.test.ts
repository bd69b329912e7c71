import { describe, expect, test } from 'vitest'
import { parseHtml } from '../../../src/testing/text/html.js'

const parse = (text: string) => parseHtml(text, () => undefined)
const failure = (text: string) => {
  try {
    parse(text)
  } catch (error) {
    return error instanceof Error ? error.message.replace("Bad Request: can't parse entities: ", '') : error
  }
  throw new Error(`${JSON.stringify(text)} was parsed.`)
}

test.each([
  ['b', 'bold'],
  ['strong', 'bold'],
  ['i', 'italic'],
  ['em', 'italic'],
  ['u', 'underline'],
  ['ins', 'underline'],
  ['s', 'strikethrough'],
  ['del', 'strikethrough'],
  ['tg-spoiler', 'spoiler'],
  ['code', 'code'],
  ['pre', 'pre'],
  ['blockquote', 'blockquote'],
])('<%s> is %s', (tag, type) => {
  expect(parse(`👍<${tag}>a👍</${tag}>`)).toEqual({
    text: '👍a👍',
    entities: [{ type, offset: 2, length: 3 }],
  })
})

test('nests, with attributes that mean nothing', () => {
  expect(parse('<b class="x" hidden>a<i>b</i></b>')).toEqual({
    text: 'ab',
    entities: [
      { type: 'bold', offset: 0, length: 2 },
      { type: 'italic', offset: 1, length: 1 },
    ],
  })
})

test('knows four names of characters, and numbers', () => {
  expect(parse('&lt;&gt;&amp;&quot;&#65;&#x1f44d;&nbsp;&').text).toBe('<>&"A👍&nbsp;&')
})

test('code in a block has a language', () => {
  expect(parse('<pre><code class="language-ts">a</code></pre>').entities).toEqual([
    { type: 'pre', offset: 0, length: 1, language: 'ts' },
  ])
  expect(parse('<code class="language-ts">a</code>').entities).toEqual([
    { type: 'code', offset: 0, length: 1 },
  ])
})

test('links, spoilers and expandable quotations', () => {
  expect(parse('<a href="https://example.com?a=1&amp;b=2">x</a>').entities).toEqual([
    { type: 'text_link', offset: 0, length: 1, url: 'https://example.com/?a=1&b=2' },
  ])
  expect(parse('<span class="tg-spoiler">x</span>').entities).toEqual([
    { type: 'spoiler', offset: 0, length: 1 },
  ])
  expect(parse('<blockquote expandable>x</blockquote>').entities).toEqual([
    { type: 'expandable_blockquote', offset: 0, length: 1 },
  ])
})

describe('refuses', () => {
  test.each([
    ['👍<b', 'Unclosed start tag at byte offset 4'],
    ['a<p>b</p>', 'Unsupported start tag "p" at byte offset 1'],
    ['1 < 2 > 0', 'Unsupported start tag "" at byte offset 2'],
    ['<b>a', 'Can\'t find end tag corresponding to start tag "b"'],
    ['a</b>', 'Unexpected end tag at byte offset 1'],
    ['<b>a</b', 'Unclosed end tag at byte offset 4'],
    ['<b><i>a</b></i>', 'Unmatched end tag at byte offset 7, expected "</i>", found "</b>"'],
    ['<b =a>', 'Empty attribute name in the tag "b" at byte offset 0'],
    ['<b a=', 'Unclosed start tag "b" at byte offset 0'],
    ['<b a="x>', 'Unclosed start tag at byte offset 0'],
    ['<b a=x_>', 'Unexpected end of name token at byte offset 5'],
    ['<span>a</span>', 'Tag "span" must have class "tg-spoiler" at byte offset 0'],
  ])('%s', (text, message) => {
    expect(failure(text)).toBe(message)
  })

  test('half a character', () => {
    expect(failure('&#xd83d;')).toMatch(/^Text contains invalid Unicode characters/)
  })
})
