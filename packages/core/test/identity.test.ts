import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { isTenantBoxError } from '../src/errors.js'
import { asideName, boxName, isPoolName, slugOf } from '../src/identity.js'

describe('slugOf', () => {
  it.each(['a', 'user-42', '12345678-a', 'a1-b2', 'x'.repeat(38)])('keeps the safe id %s', (id) => {
    expect(slugOf(id)).toBe(id)
  })

  it.each([
    ['User-42', /^user-42--[a-z2-7]{16}$/],
    ['../../etc', /^etc--[a-z2-7]{16}$/],
    ['😀', /^x--[a-z2-7]{16}$/],
    ['a--b', /^a-b--[a-z2-7]{16}$/],
    ['-a', /^a--[a-z2-7]{16}$/],
    ['аdmin', /^dmin--[a-z2-7]{16}$/],
    ['x'.repeat(39), /^x{20}--[a-z2-7]{16}$/],
    ['.tenantbox', /^tenantbox--[a-z2-7]{16}$/],
  ])('hashes the unsafe id %s', (id, shape) => {
    expect(slugOf(id)).toMatch(shape)
  })

  it('is the documented hash, so that other tools can follow it', () => {
    // printf %s 'User-42' | sha256sum | xxd -r -p | base32 | tr A-Z a-z | head -c 16
    expect(slugOf('User-42')).toBe('user-42--7l7f4vixlgaxxxdf')
  })

  it.each([
    ['empty', ''],
    ['300 bytes', 'x'.repeat(300)],
    ['257 bytes in 129 characters', 'é'.repeat(129)],
    ['NUL', 'a\0b'],
    ['a line break', 'a\nb'],
    ['a C1 control', 'a\u0085b'],
    ['a lone surrogate', 'a\ud800'],
    ['no string', 42 as unknown as string],
    ['undefined', undefined as unknown as string],
  ])('refuses what is no id: %s', (_, id) => {
    expect(() => slugOf(id)).toThrow(expect.toSatisfy((error) => isTenantBoxError(error, 'INVALID_TENANT')))
  })

  const ids = fc
    .oneof(
      fc.string({ unit: 'binary', minLength: 1, maxLength: 60 }),
      fc.string({ unit: fc.constantFrom('a', 'A', '-', '.', '/', '0'), minLength: 1, maxLength: 45 }),
    )
    .filter((id) => !/\p{Cc}/u.test(id) && id.isWellFormed())

  it('is injective, also where case is folded, and always a DNS label of a safe length', () => {
    fc.assert(
      fc.property(ids, ids, (a, b) => {
        const slug = slugOf(a)
        expect(slug).toMatch(/^[a-z0-9]([a-z0-9-]*[a-z0-9])?$/)
        expect(slug.length).toBeLessThanOrEqual(38)
        if (a !== b) expect(slug).not.toBe(slugOf(b))
      }),
      { numRuns: 2000 },
    )
  })

  it('never takes an id for the slug of another', () => {
    fc.assert(fc.property(ids, (id) => slugOf(slugOf(id)) === slugOf(id) || slugOf(id).includes('--')))
  })
})

describe('names', () => {
  it('builds box names, and names set aside that no slug can have', () => {
    expect(boxName('companion', 'user-42')).toBe('tbx-companion-user-42')
    expect(asideName('companion', 'user-42')).toBe('tbx-companion-user-42.aside')
  })

  it.each([
    ['a', true],
    ['companion2', true],
    ['a'.repeat(20), true],
    ['a'.repeat(21), false],
    ['', false],
    ['2a', false],
    ['a-b', false],
    ['A', false],
  ])('pool name %s: %s', (name, valid) => {
    expect(isPoolName(name)).toBe(valid)
  })
})
