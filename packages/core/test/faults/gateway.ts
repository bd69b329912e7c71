// A gateway in a process of its own, to be killed: bundled and run by `gateway-process.ts`.
import { docker } from '@tenantbox/core/docker'
import { TenantPool } from '../../src/index.js'
import { toMessage } from '../../src/text.js'
import type { Act, Errand, Halt, Orders, Report } from './errands.js'
import { haltingDriver } from './halting-driver.js'
import { RELEASES } from './releases.js'

const TOUCH_EVERY_MS = 50

const { name, dataDir, image, errands } = JSON.parse(process.argv[2] ?? '') as Orders
const tell = (report: Report): void => void process.send?.(report)
const halts = new Map<string, Halt>()
const releases = new Map<string, keyof typeof RELEASES>()
const said = new Map(errands.map(({ tenant }) => [tenant, [] as string[]]))
const told = (tenant: string): readonly string[] => said.get(tenant) ?? []

const pool = new TenantPool({
  name,
  dataDir,
  driver: haltingDriver(docker(), name, halts, (tenant) => tell({ tenant, said: told(tenant), ready: true })),
  box: { image },
  perTenant: (tenant) => ({ box: { env: RELEASES[releases.get(tenant) ?? 'old'] } }),
  // Those that stand still in a start keep their place for ever.
  capacity: { maxStarting: errands.length + 4 },
})

async function run({ tenant, acts, halt, rounds }: Errand): Promise<void> {
  for (let round = 1; rounds !== undefined || round === 1; round++) {
    for (const [index, act] of acts.entries()) {
      if (halt && index === acts.length - 1) halts.set(tenant, halt)
      await does(tenant, act)
      tell({ tenant, said: told(tenant), ready: round >= (rounds ?? 2) })
    }
  }
  if (halt) throw new Error('it was not stopped')
  tell({ tenant, said: told(tenant), ready: true })
}

async function does(tenant: string, act: Act): Promise<void> {
  if (act === 'send') {
    const note = `${process.pid}.${told(tenant).length}`
    await pool.send(tenant, `remember ${note}`).text()
    said.get(tenant)?.push(note)
  } else if (act === 'hold') await pool.lease(tenant)
  else if (act === 'touch') setInterval(() => pool.touch(tenant), TOUCH_EVERY_MS)
  else if (act === 'renew') releases.set(tenant, releases.get(tenant) === 'new' ? 'old' : 'new')
  else if (act === 'break') releases.set(tenant, 'broken')
  else await pool[act](tenant)
}

await pool.start()
for (const errand of errands)
  run(errand).catch((error) =>
    tell({ tenant: errand.tenant, said: told(errand.tenant), ready: false, failure: toMessage(error) }),
  )
