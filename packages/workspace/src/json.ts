/** What JSON can hold. A key whose value is undefined is left out, so that types with optional keys are JSON too. */
export type Json = null | boolean | number | string | readonly Json[] | JsonObject

type JsonObject = { readonly [key: string]: Json | undefined }

/** How deep arrays and objects may be nested: deeper ones make careless recursion overflow its stack. */
const MAX_DEPTH = 100

/** What is wrong with a parsed JSON value, whoever wrote it: nested too deeply, or a key that means trouble. */
export function jsonFault(value: Json | undefined, depth = 0): string | undefined {
  if (typeof value !== 'object' || value === null) return undefined
  if (depth >= MAX_DEPTH) return `is nested more than ${MAX_DEPTH} levels deep`
  if (Array.isArray(value)) {
    for (const item of value) {
      const fault = typeof item === 'object' ? jsonFault(item, depth + 1) : undefined
      if (fault !== undefined) return fault
    }
    return undefined
  }
  const object = value as JsonObject
  for (const key in object) {
    // Merged into another object by careless code, this key would change that object's prototype.
    if (key === '__proto__') return 'has a key __proto__'
    const item = object[key]
    const fault = typeof item === 'object' ? jsonFault(item, depth + 1) : undefined
    if (fault !== undefined) return fault
  }
  return undefined
}

export function isObject(value: unknown): value is { readonly [key: string]: unknown } {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
