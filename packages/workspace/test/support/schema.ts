import type { StandardSchemaV1 } from '@standard-schema/spec'

/** A schema as a library such as Zod would make it. */
export function standardSchema<Output>(
  validate: (value: unknown) => StandardSchemaV1.Result<Output>,
): StandardSchemaV1<Output, Output> {
  return { '~standard': { version: 1, vendor: 'test', validate } }
}
