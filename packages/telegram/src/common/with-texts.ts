import { inspect, types } from 'node:util'

/** Errors contain errors; nobody nests them deeper in earnest. */
const DEEPEST = 8
/** How deep it is looked into what is not copied. */
const SHOWN_DEPTH = 4

/**
 * What was thrown, with every text in it changed: the same if `change` leaves all of them as they are, else a copy. An
 * error's copy is of its class. In a copy, what is no error, plain object, array, map or set (an URL, say, or a response)
 * becomes its description, if that has to be changed.
 */
export function withTexts<E>(thrown: E, change: (text: string) => string): E {
  const copying = new Copying(change)
  const copy = copying.copy(thrown, DEEPEST)
  return copying.hasChanged ? (copy as E) : thrown
}

class Copying {
  readonly #change: (text: string) => string
  readonly #copies = new Map<object, unknown>()
  hasChanged = false

  constructor(change: (text: string) => string) {
    this.#change = change
  }

  copy(value: unknown, depth: number): unknown {
    if (typeof value === 'string') return this.#text(value)
    if (typeof value !== 'object' || value === null) return value
    if (!this.#copies.has(value)) this.#copyObject(value, depth)
    return this.#copies.get(value)
  }

  /** Noted before it is filled: it may contain itself. */
  #copyObject(value: object, depth: number): void {
    if (depth === 0 || types.isProxy(value)) this.#copies.set(value, this.#described(value))
    else if (value instanceof Error) {
      const copy = new Error()
      this.#copies.set(value, copy)
      this.#copyMembers(value, copy, ['name', 'message', 'stack'], depth)
      // Not before: a class's own name and message may be getters that a copy is nothing to.
      Object.setPrototypeOf(copy, Object.getPrototypeOf(value))
    } else if (Array.isArray(value) || isPlain(value)) {
      const copy = Array.isArray(value) ? [] : {}
      this.#copies.set(value, copy)
      this.#copyMembers(value, copy, [], depth)
    } else if (value instanceof Map) {
      const copy = new Map()
      this.#copies.set(value, copy)
      for (const [key, element] of value) copy.set(this.copy(key, depth - 1), this.copy(element, depth - 1))
    } else if (value instanceof Set) {
      const copy = new Set()
      this.#copies.set(value, copy)
      for (const element of value) copy.add(this.copy(element, depth - 1))
    } else this.#copies.set(value, this.#described(value))
  }

  /** @param inherited to be copied even if they are not its own */
  #copyMembers(value: object, copy: object, inherited: readonly string[], depth: number): void {
    for (const key of new Set([...Reflect.ownKeys(value), ...inherited])) {
      if (key === 'length' && Array.isArray(value)) continue
      const member: unknown = readable(() => Reflect.get(value, key))
      Object.defineProperty(copy, typeof key === 'string' ? this.#text(key) : key, {
        value: this.copy(member, depth - 1),
        enumerable: Object.getOwnPropertyDescriptor(value, key)?.enumerable ?? false,
        writable: true,
        configurable: true,
      })
    }
  }

  #text(text: string): string {
    const changed = this.#change(text)
    if (changed !== text) this.hasChanged = true
    return changed
  }

  #described(value: object): unknown {
    const options = { depth: SHOWN_DEPTH, maxStringLength: null, maxArrayLength: 1_000 }
    const shown = readable(() => inspect(value, options)) ?? ''
    const changed = this.#text(shown)
    return changed === shown ? value : changed
  }
}

/** What throws when it is looked at (a getter, say) shows nothing to anybody. */
function readable<T>(read: () => T): T | undefined {
  try {
    return read()
  } catch {
    return undefined
  }
}

function isPlain(value: object): boolean {
  const prototype: unknown = Object.getPrototypeOf(value)
  return prototype === null || prototype === Object.prototype
}
