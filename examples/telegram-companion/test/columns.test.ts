import fc from 'fast-check'
import { expect, it } from 'vitest'
import { Columns } from '../src/demo/columns.js'

it('keeps each side on its own, and loses no word', () => {
  const words = fc.array(fc.stringMatching(/^[a-z]{1,80}$/), { minLength: 1, maxLength: 20 })
  fc.assert(
    fc.property(words, fc.constantFrom('left' as const, 'right' as const), (said, side) => {
      const lines: string[] = []
      new Columns((line) => lines.push(line)).say(side, `> ${said.join(' ')}`)
      const sides = lines.map((line) => ({ left: line.slice(0, 52), right: line.slice(54) }))
      const other = side === 'left' ? 'right' : 'left'
      expect(sides.map((line) => line[side].replace(/[> ]/g, '')).join('')).toBe(said.join(''))
      expect(sides.every((line) => line[other].trim() === '')).toBe(true)
    }),
  )
})
