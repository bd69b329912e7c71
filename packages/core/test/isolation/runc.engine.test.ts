import { fileAttacks, fileAttacksSeenInProc } from './attacks/files.js'
import { kernelAttacks } from './attacks/kernel.js'
import { networkAttacks } from './attacks/network.js'
import { privilegeAttacks } from './attacks/privileges.js'
import { useIsolation } from './isolation.js'

const world = useIsolation()

fileAttacks(world)
fileAttacksSeenInProc(world)
networkAttacks(world)
kernelAttacks(world)
privilegeAttacks(world)
