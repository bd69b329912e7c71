import { assertKnownKeys, invalidOption } from '../units.js'

export interface ProcessOptions {
  /** Lets the driver work although `NODE_ENV` is `production`. @default false */
  readonly allowUnisolated?: boolean | undefined
}

/** @throws TenantBoxError `INVALID_OPTION` */
export function checkProcessOptions(options: ProcessOptions, nodeEnv: string | undefined): void {
  assertKnownKeys('', options, ['allowUnisolated'])
  const allowed = options.allowUnisolated ?? false
  if (typeof allowed !== 'boolean') throw invalidOption('allowUnisolated', 'true or false', allowed)
  if (nodeEnv === 'production' && !allowed)
    throw invalidOption(
      'allowUnisolated',
      'true where NODE_ENV is production: the process driver isolates nothing, every tenant’s agent can read all files of this user, those of other tenants too. Use docker() instead',
      allowed,
    )
}
