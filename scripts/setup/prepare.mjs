// Run by `session.mjs` as a process of its own, under a lock: two set-ups of one clone take turns.
import { existsSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { build } from './build.mjs'
import { ENGINE_PACKAGES, ENGINE_ROOT } from './engine.mjs'
import { unpackExtras } from './extras.mjs'
import { BUSYBOX_ROOT, findBusybox } from './images.mjs'
import { install } from './install.mjs'
import { lifeline } from './lifeline.mjs'
import { printFailure, step } from './terminal.mjs'
import { unpackPackages } from './unpack.mjs'

const { values } = parseArgs({
  options: {
    build: { type: 'string', multiple: true, default: [] },
    engine: { type: 'boolean', default: false },
    busybox: { type: 'boolean', default: false },
    extras: { type: 'boolean', default: false },
  },
})
const signal = lifeline()
try {
  await install(signal)
  await build(values.build, signal)
  if (values.engine && !existsSync(ENGINE_ROOT)) {
    step(
      `No Docker engine here: downloading ${ENGINE_PACKAGES.join(', ')} into .cache (TENANTBOX_NO_ENGINE=1 refuses)`,
    )
    await unpackPackages(ENGINE_PACKAGES, ENGINE_ROOT, signal)
  }
  if (values.extras) await unpackExtras(signal)
  if (values.busybox && !findBusybox()) {
    step('Downloading busybox-static into .cache, for the test images')
    await unpackPackages(['busybox-static'], BUSYBOX_ROOT, signal)
  }
} catch (error) {
  process.exitCode = 1
  if (!signal.aborted) printFailure(error)
} finally {
  if (process.connected) process.disconnect()
}
