import { HOSTILE_AGENTS, hostileAgentAttacks } from './attacks/hostile-agent.js'
import { useIsolation } from './isolation.js'

hostileAgentAttacks(useIsolation(undefined, HOSTILE_AGENTS))
