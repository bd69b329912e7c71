export type { Due, Workspace } from '@tenantbox/workspace'
