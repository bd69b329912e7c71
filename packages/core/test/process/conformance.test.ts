import { mkdtemp, realpath, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { processDriver } from '@tenantbox/core/process'
import { type DriverSubject, describeDriver, nodeFixture } from '@tenantbox/core/testing'
import { describe, it } from 'vitest'
import { SPEC } from '../testing/fixtures.js'
import { processesOf } from './processes.js'

const fixture = nodeFixture({ ...SPEC }, process.execPath)

async function make(): Promise<DriverSubject> {
  const dataDir = await mkdtemp(join(await realpath(tmpdir()), 'tenantbox-process-'))
  return {
    driver: processDriver(),
    another: () => processDriver(),
    dataDir,
    ...fixture,
    async crash(ref) {
      for (const pid of await processesOf(ref.id)) process.kill(pid, 'SIGKILL')
    },
    cleanup: () => rm(dataDir, { recursive: true }),
  }
}

describeDriver('process', make, { describe, it })
