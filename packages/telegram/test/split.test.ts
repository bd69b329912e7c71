import fc from 'fast-check'
import type { MessageEntity } from 'grammy/types'
import { expect, test } from 'vitest'
import type { Formatted } from '../src/text/formatted.js'
import { MESSAGE_LIMIT, split } from '../src/text/split.js'

const text = fc
  .array(
    fc.oneof(
      fc.string({ unit: 'grapheme', maxLength: 40 }),
      fc.string({ unit: 'binary', maxLength: 40 }),
      fc.constantFrom('\n\n', '\n', ' ', '👩‍👩‍👧‍👦', 'e\u0301', '\r\n', '🇩🇪🇫🇷', 'word '),
    ),
    { maxLength: 60 },
  )
  .map((pieces) => pieces.join('').toWellFormed())

const formatted: fc.Arbitrary<Formatted> = text.chain((whole) =>
  fc
    .array(fc.tuple(fc.nat(), fc.nat(), fc.constantFrom('bold', 'italic', 'pre', 'code', 'blockquote')), {
      maxLength: 30,
    })
    .map((spans) => ({ text: whole, entities: spans.flatMap((span) => entityAt(whole, ...span)) })),
)

function entityAt(
  whole: string,
  a: number,
  b: number,
  type: 'bold' | 'italic' | 'pre' | 'code' | 'blockquote',
): MessageEntity[] {
  // Telegram's entities begin and end between characters.
  const bounds = [0]
  for (const character of whole) bounds.push((bounds.at(-1) ?? 0) + character.length)
  const ends = [bounds[a % bounds.length] ?? 0, bounds[b % bounds.length] ?? 0]
  const offset = Math.min(...ends)
  const length = Math.max(...ends) - offset
  if (length === 0) return []
  return [{ type, offset, length } as MessageEntity]
}

const limits = fc.integer({ min: 2, max: 200 })

test('no part is too long, none is empty, and together they are the text', () => {
  fc.assert(
    fc.property(formatted, limits, (whole, limit) => {
      const parts = split(whole, limit)
      expect(parts.map((part) => part.text).join('')).toBe(whole.text)
      for (const part of parts) expect(part.text.length).toBeLessThanOrEqual(limit)
      if (whole.text !== '') for (const part of parts) expect(part.text).not.toBe('')
    }),
    { numRuns: 500 },
  )
})

test('no surrogate pair is cut', () => {
  fc.assert(
    fc.property(formatted, limits, (whole, limit) => {
      for (const part of split(whole, limit)) expect(part.text.isWellFormed()).toBe(true)
    }),
    { numRuns: 500 },
  )
})

test('every unit keeps its formatting', () => {
  const unitsOf = ({ text: { length }, entities }: Formatted): string[] =>
    Array.from({ length }, (_, at) =>
      entities
        .filter(({ offset, length: long }) => offset <= at && at < offset + long)
        .map(({ type }) => type)
        .sort()
        .join(),
    )
  fc.assert(
    fc.property(formatted, limits, (whole, limit) => {
      const parts = split(whole, limit)
      for (const {
        text: { length },
        entities,
      } of parts)
        for (const entity of entities) {
          expect(entity.length).toBeGreaterThan(0)
          expect(entity.offset + entity.length).toBeLessThanOrEqual(length)
        }
      expect(parts.flatMap(unitsOf)).toEqual(unitsOf(whole))
    }),
    { numRuns: 500 },
  )
})

test('no character is cut that fits', () => {
  const segments = new Intl.Segmenter(undefined, { granularity: 'grapheme' })
  const character = fc.constantFrom('a', ' ', '\n', '👩‍👩‍👧‍👦', 'e\u0301', '🇩🇪', '\r\n')
  fc.assert(
    fc.property(fc.array(character, { minLength: 1, maxLength: 200 }), (characters) => {
      const whole = characters.join('')
      const bounds = new Set([...segments.segment(whole)].map(({ index }) => index))
      let at = 0
      for (const { text: part } of split({ text: whole, entities: [] }, 30)) {
        expect(bounds.has(at)).toBe(true)
        at += part.length
      }
    }),
  )
})

test('cuts between paragraphs rather than lines, lines rather than words', () => {
  const line = `${'word '.repeat(150).trimEnd()}\n`
  const paragraphs = `${line.repeat(3)}\n${line.repeat(3)}`
  const parts = split({ text: paragraphs, entities: [] })
  expect(parts.map((part) => part.text)).toEqual([`${line.repeat(3)}\n`, line.repeat(3)])
  expect(split({ text: 'word '.repeat(1000), entities: [] })[0]?.text).toMatch(/ $/)
})

test('does not cut code at an empty line when there is a better place', () => {
  const prose = 'x'.repeat(2500)
  const code = 'a\n\nb\n\n'.repeat(400)
  const text = `${prose}\n\n${code}`
  const entities: MessageEntity[] = [{ type: 'pre', offset: prose.length + 2, length: code.length }]
  expect(split({ text, entities })[0]?.text).toBe(`${prose}\n\n`)
})

test('what is formatted too often for one message is plain from there on, and makes no more messages', () => {
  const entities: MessageEntity[] = Array.from({ length: 1_500 }, (_, at) => ({
    type: 'bold',
    offset: at * 4,
    length: 2,
  }))
  const text = 'ab c'.repeat(1_500)
  const parts = split({ text, entities })
  expect(parts.map((part) => part.text).join('')).toBe(text)
  expect(parts).toHaveLength(2)
  for (const part of parts) {
    expect(part.entities).toHaveLength(100)
    expect(part.entities.at(-1)?.offset).toBeLessThan(400)
  }
})

test('a text of nothing that could be cut well', () => {
  const parts = split({ text: '👍'.repeat(5000), entities: [] })
  expect(parts.every((part) => part.text.length <= MESSAGE_LIMIT && part.text.isWellFormed())).toBe(true)
})

test('code that begins with an empty line, at the very beginning', () => {
  const text = '\n\nab'
  const entities: MessageEntity[] = [{ type: 'pre', offset: 0, length: text.length }]
  expect(split({ text, entities }, 2).map((part) => part.text)).toEqual(['\n\n', 'ab'])
})
