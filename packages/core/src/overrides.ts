import { type BoxTemplate, resolveBoxSpec } from './box-spec.js'
import { type ResolvedIdle, resolveIdle, type Settings, type TenantOverrides } from './options.js'
import { assertKnownKeys } from './units.js'

/**
 * A tenant's overrides over the pool's settings; an `undefined` in them leaves the pool's value.
 *
 * @throws TenantBoxError `INVALID_OPTION`
 */
export function applyOverrides(
  settings: Settings,
  overrides: TenantOverrides,
): { box: BoxTemplate; idle: ResolvedIdle } {
  assertKnownKeys('perTenant()', overrides, ['box', 'idle'])
  const { boxSpec } = settings
  const box = overrides.box ?? {}
  return {
    box: overrides.box
      ? resolveBoxSpec('perTenant().box', {
          ...over(boxSpec, box),
          env: over(boxSpec.env ?? {}, box.env ?? {}),
          secrets: over(boxSpec.secrets ?? {}, box.secrets ?? {}),
          limits: over(boxSpec.limits ?? {}, box.limits ?? {}),
        })
      : settings.box,
    idle: overrides.idle
      ? resolveIdle('perTenant().idle', over(settings.idleOptions, overrides.idle))
      : settings.idle,
  }
}

function over<T extends object>(base: T, changes: { [K in keyof T]?: T[K] | undefined }): T {
  const merged = { ...base }
  for (const key of Object.keys(changes) as (keyof T)[]) {
    const value = changes[key]
    if (value !== undefined) merged[key] = value as T[keyof T]
  }
  return merged
}
