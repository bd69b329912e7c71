import type { SessionEntry } from './entry.js'
import { isObject } from './json.js'
import { count, flag, id, json, object, oneOf, type Rule, type Shape, text } from './shape.js'

const SHORTEST_ENTRY = '{"id":"a","at":"2026-01-01T00:00","role":"user","content":""}'.length
const ISO_START = /^\d{4}-\d\d-\d\dT\d\d:\d\d/

const time: Rule = (value) =>
  typeof value === 'string' && value.length <= 40 && ISO_START.test(value)
    ? undefined
    : 'must be an ISO 8601 time'

const RFC_3339 = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)$/

/** Without its offset it would be another time for every reader. */
const exactTime: Rule = (value) =>
  time(value) ?? (RFC_3339.test(value as string) ? undefined : 'must have seconds and an offset, or Z')

const PARTS: Readonly<Record<string, Rule>> = {
  text: object({ type: text, text }, { open: true }),
  reasoning: object({ type: text, text, 'provider?': json }, { open: true }),
  file: object(
    {
      type: text,
      path: text,
      mediaType: text,
      'name?': text,
      'bytes?': count,
      'sha256?': text,
      'caption?': text,
    },
    { open: true },
  ),
  'tool-call': object({ type: text, callId: id, name: text, input: json }, { open: true }),
  data: object({ type: text, name: text, data: json }, { open: true }),
}

const content: Rule = (value) => {
  if (typeof value === 'string') return undefined
  if (!Array.isArray(value)) return 'must be a string or an array of parts'
  for (const [index, part] of value.entries()) {
    const type = isObject(part) && typeof part.type === 'string' ? part.type : ''
    const rule = Object.hasOwn(PARTS, type) ? PARTS[type] : undefined
    const fault = rule ? rule(part) : `must have a type of ${Object.keys(PARTS).join(', ')}`
    if (fault !== undefined) return `part ${index} ${fault}`
  }
  return undefined
}

const COMMON: Shape = {
  id,
  at: time,
  role: text,
  'thread?': text,
  'turn?': text,
  'replyTo?': text,
  'meta?': json,
}

const SHAPES: Readonly<Record<string, Shape>> = {
  user: {
    ...COMMON,
    content,
    'author?': object({ id: text, 'name?': text }, { open: true }),
    'replaces?': text,
  },
  assistant: {
    ...COMMON,
    content,
    'state?': oneOf('complete', 'cancelled', 'failed'),
    'model?': text,
    'usage?': object({ input: count, output: count }, { open: true }),
  },
  tool: { ...COMMON, callId: id, content, 'output?': json, 'isError?': flag },
  system: {
    ...COMMON,
    content: text,
    'kind?': oneOf('instruction', 'summary', 'reminder', 'notice'),
    'covers?': text,
  },
}

/** What is read may come from a newer version, so further keys are kept; what is written has no others. */
const READ = rulesOf({ at: time, open: true })
const WRITE = rulesOf({ at: exactTime, open: false })

/** What is wrong with a line's value; undefined when it is an entry. */
export function entryFault(value: unknown, use: 'read' | 'write'): string | undefined {
  if (!isObject(value)) return 'must be an object'
  const { role } = value
  const rule = (use === 'read' ? READ : WRITE).get(String(role))
  return rule ? rule(value) : `must have a role of ${Object.keys(SHAPES).join(', ')}`
}

/** A line's entry, or what is wrong with it. */
export function parseEntry(line: string): { readonly entry: SessionEntry } | { readonly fault: string } {
  // Refusing is what takes the parser longest, and a file can be full of such lines.
  if (line.length < SHORTEST_ENTRY) return { fault: 'too short to be an entry' }
  let value: unknown
  try {
    value = JSON.parse(line)
  } catch {
    // The parser's own message would quote the line.
    return { fault: 'not JSON' }
  }
  const fault = entryFault(value, 'read')
  return fault === undefined ? { entry: value as SessionEntry } : { fault }
}

function rulesOf({ at, open }: { at: Rule; open: boolean }): ReadonlyMap<string, Rule> {
  return new Map(Object.entries(SHAPES).map(([role, shape]) => [role, object({ ...shape, at }, { open })]))
}
