import { resourceAttacks } from './attacks/resources.js'
import { useIsolation } from './isolation.js'

resourceAttacks(useIsolation())
