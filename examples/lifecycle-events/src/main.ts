// node dist/main.js [image]: in containers of an image that has Node or, without one, in mere processes.
import { randomUUID } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { TenantPool } from '@tenantbox/core'
import { docker } from '@tenantbox/core/docker'
import { processDriver } from '@tenantbox/core/process'
import { liveThrough } from './day.js'
import { timeline } from './timeline.js'

const [image] = process.argv.slice(2)
const agent = fileURLToPath(new URL('../agent', import.meta.url))
const containers = (image: string) => ({
  driver: docker(),
  box: { image, command: ['node', '/agent/agent.mjs'], mounts: [{ host: agent, box: '/agent' }] },
})
const processes = () => ({
  driver: processDriver(),
  box: { image: 'none', command: [process.execPath, `${agent}/agent.mjs`] },
})

const interrupted = new AbortController()
for (const name of ['SIGINT', 'SIGTERM']) process.once(name, () => interrupted.abort(new Error(name)))

const dataDir = await mkdtemp(join(tmpdir(), 'tenantbox-events-'))
try {
  await using pool = new TenantPool({
    // Part of the boxes' names: two of these may run on one engine.
    name: `events${randomUUID().slice(0, 8)}`,
    ...(image === undefined ? processes() : containers(image)),
    dataDir,
    capacity: { maxRunning: 2, minUptime: 0 },
    onClose: 'remove',
  })
  timeline(pool, console.log)
  await liveThrough(pool, interrupted.signal)
} catch (error) {
  console.error(interrupted.signal.aborted ? 'Interrupted.' : error)
  process.exitCode = 1
} finally {
  await rm(dataDir, { recursive: true, force: true })
}
