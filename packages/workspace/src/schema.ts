import type { StandardSchemaV1 } from '@standard-schema/spec'
import type { Json } from './json.js'

/**
 * Schemas, of any library that follows Standard Schema, for what an app puts into the files. What one makes is written,
 * and given to it again when that is read: it must accept that.
 */
export interface Schemas {
  /** Of an entry's `meta`. */
  meta?: StandardSchemaV1<Json, Json>
  /** Of a schedule's `payload`. */
  payload?: StandardSchemaV1<Json, Json>
}

/** What a schema makes of its input; `Json` where there is none. */
export type OutputOf<S, Default extends Json = Json> =
  S extends StandardSchemaV1<infer _Input, infer Output> ? (Output extends Json ? Output : never) : Default

export type Checked = { readonly value: Json } | { readonly fault: string }

/** Runs `schema` over a value. Without a schema, or without a value, there is nothing to say. */
export async function checkWith(
  schema: StandardSchemaV1<Json, Json> | undefined,
  value: Json,
): Promise<Checked> {
  if (!schema) return { value }
  const result = await schema['~standard'].validate(value)
  if (!result.issues) return { value: result.value }
  const [issue] = result.issues
  const path = issue?.path?.map((part) => String(typeof part === 'object' ? part.key : part)).join('.')
  return { fault: `${path ? `${path}: ` : ''}${issue?.message ?? 'does not follow its schema'}` }
}
