import { gatewaySocketAttacks } from './attacks/gateway-socket.js'
import { survivalAttacks } from './attacks/survival.js'
import { trapAttacks } from './attacks/traps.js'
import { useIsolation } from './isolation.js'

const world = useIsolation()

gatewaySocketAttacks(world)
survivalAttacks(world)
trapAttacks(world)
