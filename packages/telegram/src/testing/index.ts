export type { Clock } from '@tenantbox/core'
