// node dist/demo/main.js [image] [--chat]: the companion on a local Telegram, in containers of an image that has Node or,
// without one, in mere processes. Plays two chats or, with --chat, opens a page to chat on.
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { docker } from '@tenantbox/core/docker'
import { processDriver } from '@tenantbox/core/process'
import { chat } from './chat.js'
import { demo } from './demo.js'
import type { Boxes } from './telegram.js'
import { table } from './wakes.js'

const { positionals, values } = parseArgs({ allowPositionals: true, options: { chat: { type: 'boolean' } } })
const [image] = positionals
const agent = fileURLToPath(new URL('../agent', import.meta.url))

/** The bundled agent is mounted, read-only: to change it, no image has to be built. */
const containers = (image: string): Boxes => ({
  driver: docker(),
  box: { image, command: ['node', '/agent/agent.mjs'], mounts: [{ host: agent, box: '/agent' }] },
})
const processes = (): Boxes => ({
  driver: processDriver(),
  box: { image: 'none', command: [process.execPath, join(agent, 'agent.mjs')] },
})

const interrupted = new AbortController()
for (const name of ['SIGINT', 'SIGTERM']) process.once(name, () => interrupted.abort(new Error(name)))

const boxes = image === undefined ? processes() : containers(image)
const dataDir = await mkdtemp(join(tmpdir(), 'tenantbox-demo-'))
try {
  if (values.chat) await chat({ boxes, dataDir, print: console.log, signal: interrupted.signal })
  else await play()
} catch (error) {
  console.error(interrupted.signal.aborted ? 'Interrupted.' : error)
  process.exitCode = 1
} finally {
  await rm(dataDir, { recursive: true, force: true })
}

async function play(): Promise<void> {
  const signal = AbortSignal.any([interrupted.signal, AbortSignal.timeout(90_000)])
  const wakes = await demo({ boxes, dataDir, print: console.log, signal })
  console.log(`\n${table(wakes)}\n\nChat with it yourself: npm run demo -- --chat`)
}
