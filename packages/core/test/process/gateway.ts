import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { processDriver } from '@tenantbox/core/process'
import { TenantDirs } from '../../src/tenant-dirs.js'
import { SPEC } from '../testing/fixtures.js'
import { WITHOUT_ENVIRONMENT } from './processes.js'

/** A gateway in a process of its own: `ends.test.ts` bundles it, runs it, and looks at how it ends. */
const [dataDir = '', owner = '', hiding] = process.argv.slice(2)

/** Leaves one in its group, one that may hide there, one in a session of its own, and takes no notice of SIGTERM. */
const COMMAND = [
  'sh',
  '-c',
  `sleep 600 & ${hiding ? WITHOUT_ENVIRONMENT : ':'} & setsid sleep 601 & trap "" TERM; echo up; while :; do sleep 1; done`,
  owner,
]

const driver = processDriver()
await driver.open({ name: 'pool', owner, dataDir })
const dirs = new TenantDirs(dataDir)
await dirs.lockPath()
for (const tenant of ['ann', 'bob', 'cid']) {
  await dirs.ensure(tenant, tenant, undefined)
  const ref = await driver.create({ tenant, slug: tenant, spec: randomUUID() }, { ...SPEC, command: COMMAND })
  await driver.start(ref)
  for await (const { text } of driver.logs(ref, { follow: true })) if (text === 'up') break
  if (tenant === 'bob') await driver.spawn(ref, { command: ['sleep', '602'] })
  if (tenant === 'cid') await driver.pause(ref)
}
process.stdout.write('ready\n')

await once(process.stdin.resume(), 'end')
await driver.close()
