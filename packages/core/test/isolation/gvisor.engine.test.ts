import { mkdtemp, rm } from 'node:fs/promises'
import { release, tmpdir } from 'node:os'
import { join } from 'node:path'
import { docker } from '@tenantbox/core/docker'
import { afterAll, describe, expect, it, onTestFinished, vi } from 'vitest'
import { isTenantBoxError, TenantPool } from '../../src/index.js'
import { fileAttacks } from './attacks/files.js'
import { gatewaySocketAttacks } from './attacks/gateway-socket.js'
import { HOSTILE_AGENTS, hostileAgentAttacks } from './attacks/hostile-agent.js'
import { networkAttacks } from './attacks/network.js'
import { privilegeAttacks } from './attacks/privileges.js'
import { givenEngine, useIsolation } from './isolation.js'
import { startOwnEngine } from './own-engine.js'

/** All that does not need the host's kernel runs here; what costs minutes, in nightly runs only. */
const NIGHTLY = process.env.TENANTBOX_NIGHTLY === '1'
if (!NIGHTLY)
  console.log(
    'Left out under gVisor: hostile agents and the gateway socket. TENANTBOX_NIGHTLY=1 runs them too.',
  )

// A box takes several times as long to start here.
vi.setConfig({ testTimeout: 90_000, hookTimeout: 90_000, maxConcurrency: 1 })

const engine = await startOwnEngine('gVisor', { bridges: false, gvisor: true })
afterAll(() => engine?.close())

describe.runIf(engine)('under gVisor', () => {
  const world = useIsolation(engine?.place({ runtime: 'runsc' }) ?? givenEngine, HOSTILE_AGENTS)

  it("runs on gVisor's kernel, not on the host's", async () => {
    expect(await world().mallory.shell('cat /proc/version')).not.toContain(release())
  })

  it('comes without a warning', async () => {
    expect((await world().pool.start()).warnings).toEqual([])
  })

  it('is refused at the start where no socket can cross, and is told what to set', async () => {
    const dataDir = await mkdtemp(join(tmpdir(), 'tenantbox-gvisor-'))
    onTestFinished(() => rm(dataDir, { recursive: true }))
    const { engineSocket: socketPath, image } = world()
    const driver = docker({ socketPath, runtime: 'runsc-closed' })
    const pool = new TenantPool({ name: 'closed', driver, dataDir, box: { image } })
    const error = await pool.start().catch((failure: unknown) => failure)
    expect(isTenantBoxError(error, 'UNSUPPORTED_ENGINE') && error.message).toContain('--host-uds=all')
    await pool.close()
  })

  fileAttacks(world)
  networkAttacks(world)
  privilegeAttacks(world)
  if (NIGHTLY) hostileAgentAttacks(world)
  if (NIGHTLY) gatewaySocketAttacks(world)
})
