import { HOSTILE_AGENTS, hostileAgentAttacks } from './attacks/hostile-agent.js'
import { wordAttacks } from './attacks/words.js'
import { useIsolation } from './isolation.js'

const world = useIsolation(undefined, HOSTILE_AGENTS)

hostileAgentAttacks(world)
wordAttacks(world)
