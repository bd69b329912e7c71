// node dist/main.js [image]: the demo in containers of an image that has Node or, without one, in mere processes.
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { docker } from '@tenantbox/core/docker'
import { processDriver } from '@tenantbox/core/process'
import { demo } from './demo.js'
import { table } from './table.js'

const [image] = process.argv.slice(2)
const agent = fileURLToPath(new URL('../agent', import.meta.url))

/** The agent's source is mounted, read-only: to change it, no image has to be built. */
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

const dataDir = await mkdtemp(join(tmpdir(), 'tenantbox-demo-'))
try {
  const wakes = await demo({
    ...(image === undefined ? processes() : containers(image)),
    dataDir,
    print: console.log,
    signal: AbortSignal.any([interrupted.signal, AbortSignal.timeout(60_000)]),
  })
  console.log(`\n${table(wakes)}`)
} catch (error) {
  console.error(interrupted.signal.aborted ? 'Interrupted.' : error)
  process.exitCode = 1
} finally {
  await rm(dataDir, { recursive: true, force: true })
}
