// A gateway in a process of its own, to be killed: bundled and run by `gateway-process.ts`.
import { appendFileSync } from 'node:fs'
import { setTimeout } from 'node:timers/promises'
import { memoryDriver } from '@tenantbox/core/testing'
import { Mailbox, TenantPool } from '../../src/index.js'
import type { GatewayOptions, Order, Report } from './gateway-process.js'

const { dataDir, log, life, maxAttempts } = JSON.parse(process.argv[2] ?? '') as GatewayOptions
const tell = (report: Report): void => void process.send?.(report)

const pool = new TenantPool({
  name: 'test',
  driver: memoryDriver(),
  dataDir,
  box: { image: 'agent:1' },
  lock: 'wait',
})
pool.on('lock', ({ state }) => tell({ kind: state }))
const mailbox = new Mailbox<string>({
  pool,
  maxAttempts,
  handle: async (turn) => {
    const note = (what: string): void =>
      appendFileSync(
        log,
        `${JSON.stringify({ life, what, tenant: turn.tenant, id: turn.id, attempt: turn.attempt })}\n`,
      )
    note('begun')
    tell({ kind: 'begun', id: turn.id })
    if (turn.body === 'deadly') process.kill(process.pid, 'SIGKILL')
    if (turn.body === 'endless') await new Promise(() => undefined)
    if (Math.random() < 0.2) await turn.box()
    await setTimeout(Math.random() * 5)
    note('ended')
  },
})
mailbox.on('failed', ({ id }) => tell({ kind: 'failed', id }))
mailbox.on('done', ({ id }) => tell({ kind: 'done', id }))
process.on('message', ({ tenant, id, body }: Order) => {
  mailbox.post(tenant, { id, body }).then(
    () => tell({ kind: 'posted', id }),
    (error) => tell({ kind: 'refused', id, why: String(error) }),
  )
})
await mailbox.start()
tell({ kind: 'started' })
