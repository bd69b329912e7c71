import { describe, expect, test } from 'vitest'
import { parseMarkdownV2 } from '../../../src/testing/text/markdown-v2.js'

const parse = (text: string) => parseMarkdownV2(text, () => undefined)
const failure = (text: string) => {
  try {
    parse(text)
  } catch (error) {
    return error instanceof Error ? error.message.replace("Bad Request: can't parse entities: ", '') : error
  }
  throw new Error(`${JSON.stringify(text)} was parsed.`)
}

describe('reserved characters', () => {
  test.each([...'])(#+-=|{}.!'])('%s must be escaped', (char) => {
    expect(failure(`a ${char}`)).toBe(
      `Character '${char}' is reserved and must be escaped with the preceding '\\'`,
    )
    expect(parse(`a \\${char}`)).toEqual({ text: `a ${char}`, entities: [] })
  })

  test('inside code only the grave accent counts', () => {
    expect(parse('`a.b!_*`')).toEqual({ text: 'a.b!_*', entities: [{ type: 'code', offset: 0, length: 6 }] })
  })

  test('a backslash before anything that is not ASCII stays', () => {
    expect(parse('\\ä \\\\').text).toBe('\\ä \\')
  })

  test('> begins a quotation at the start of a line only', () => {
    expect(failure('a>')).toBe("Character '>' is reserved and must be escaped with the preceding '\\'")
    expect(parse('>a').entities).toEqual([{ type: 'blockquote', offset: 0, length: 1 }])
  })
})

describe('entities', () => {
  test('offsets and lengths are UTF-16 code units', () => {
    expect(parse('👍 _👍 x_')).toEqual({
      text: '👍 👍 x',
      entities: [{ type: 'italic', offset: 3, length: 4 }],
    })
  })

  test('nest', () => {
    expect(parse('_a *b*_ __c__')).toEqual({
      text: 'a b c',
      entities: [
        { type: 'italic', offset: 0, length: 3 },
        { type: 'bold', offset: 2, length: 1 },
        { type: 'underline', offset: 4, length: 1 },
      ],
    })
  })

  test('three underscores end an underline before an italic, so that ___ needs a separator', () => {
    expect(parse('_a __b___').entities).toEqual([
      { type: 'italic', offset: 0, length: 3 },
      { type: 'underline', offset: 2, length: 1 },
    ])
    expect(failure('__a _b___')).toBe("Can't find end of Italic entity at byte offset 8")
  })

  test('an empty one is none', () => {
    expect(parse('a**b____')).toEqual({ text: 'ab', entities: [] })
  })

  test('code blocks have a language when a space or line end follows it', () => {
    expect(parse('```ts\nlet a```')).toEqual({
      text: 'let a',
      entities: [{ type: 'pre', offset: 0, length: 5, language: 'ts' }],
    })
    expect(parse('```ts```')).toEqual({ text: 'ts', entities: [{ type: 'pre', offset: 0, length: 2 }] })
  })

  test('links are made whole, bad ones dropped', () => {
    expect(parse('[a](example.com/x_y)').entities).toEqual([
      { type: 'text_link', offset: 0, length: 1, url: 'http://example.com/x_y' },
    ])
    expect(parse('[a](nonsense)')).toEqual({ text: 'a', entities: [] })
    expect(parse('[a](https://example.com/\\))').entities).toEqual([
      { type: 'text_link', offset: 0, length: 1, url: 'https://example.com/)' },
    ])
  })

  test('a user who is known is mentioned', () => {
    const anna = { id: 7, is_bot: false, first_name: 'Anna' }
    const { entities } = parseMarkdownV2('[a](tg://user?id=7) [b](tg://user?id=8)', (id) =>
      id === 7 ? anna : undefined,
    )
    expect(entities).toEqual([{ type: 'text_mention', offset: 0, length: 1, user: anna }])
  })
})

describe('what is not ended', () => {
  test.each([
    ['👍_a', "Can't find end of Italic entity at byte offset 4"],
    ['*a _b_', "Can't find end of Bold entity at byte offset 0"],
    ['__a_', "Can't find end of Italic entity at byte offset 3"],
    ['a`b', "Can't find end of Code entity at byte offset 1"],
    ['```b', "Can't find end of Pre entity at byte offset 0"],
    ['```b c', "Can't find end of PreCode entity at byte offset 0"],
    ['||a\\|', "Can't find end of Spoiler entity at byte offset 0"],
    ['~a', "Can't find end of Strikethrough entity at byte offset 0"],
    ['[a', "Can't find end of TextUrl entity at byte offset 0"],
    ['[a](b\\)', "Can't find end of a URL at byte offset 4"],
    ['![👍]', 'Custom emoji entity must contain a tg://emoji URL'],
    ['>*a\n>b\nc*', "Can't find end of Bold entity at byte offset 1"],
  ])('%s', (text, message) => {
    expect(failure(text)).toBe(message)
  })
})

describe('block quotations', () => {
  test('go on over lines that begin with >', () => {
    expect(parse('a\n>b\n>c\nd')).toEqual({
      text: 'a\nb\nc\nd',
      entities: [{ type: 'blockquote', offset: 2, length: 4 }],
    })
  })

  test('are expandable with || at their end', () => {
    expect(parse('>a\n>b||\nc')).toEqual({
      text: 'a\nb\nc',
      entities: [{ type: 'expandable_blockquote', offset: 0, length: 4 }],
    })
    expect(parse('>a ||b||').entities).toEqual([
      { type: 'blockquote', offset: 0, length: 3 },
      { type: 'spoiler', offset: 2, length: 1 },
    ])
  })
})
