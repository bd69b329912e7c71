import { isObject, type Json, jsonFault } from './json.js'

/** Says what is wrong with a value, as the end of a sentence that begins with its name; undefined for nothing. */
export type Rule = (value: unknown) => string | undefined

/** What an object may hold: each key with its rule. Keys ending in `?` may be missing. */
export type Shape = Readonly<Record<string, Rule>>

const MAX_ID = 256

export const text: Rule = (value) => (typeof value === 'string' ? undefined : 'must be a string')

export const id: Rule = (value) =>
  typeof value === 'string' && value !== '' && value.length <= MAX_ID
    ? undefined
    : `must be a string of 1 to ${MAX_ID} characters`

export const count: Rule = (value) =>
  typeof value === 'number' && Number.isFinite(value) && value >= 0
    ? undefined
    : 'must be a number of 0 or more'

export const flag: Rule = (value) => (typeof value === 'boolean' ? undefined : 'must be true or false')

export const json: Rule = (value) => jsonFault(value as Json)

export function oneOf(...values: readonly string[]): Rule {
  return (value) => (values.includes(value as string) ? undefined : `must be one of ${values.join(', ')}`)
}

/** An object of exactly that shape, or, when `open`, with further keys too. */
export function object(shape: Shape, options: { open?: boolean } = {}): Rule {
  const required = Object.keys(shape).filter((key) => !key.endsWith('?'))
  const rules = new Map(Object.entries(shape).map(([key, rule]) => [key.replace(/\?$/, ''), rule]))
  return (value) => {
    if (!isObject(value)) return 'must be an object'
    for (const key of required) if (!Object.hasOwn(value, key)) return `needs ${key}`
    for (const key in value) {
      const rule = rules.get(key)
      if (!rule && (!options.open || key === '__proto__'))
        return `has an unknown key ${JSON.stringify(key.slice(0, 40))}`
      const fault = (rule ?? json)(value[key])
      if (fault !== undefined) return `${rule ? key : JSON.stringify(key.slice(0, 40))} ${fault}`
    }
    return undefined
  }
}
