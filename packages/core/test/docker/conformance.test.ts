import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { docker } from '@tenantbox/core/docker'
import { type DriverSubject, describeDriver, nodeFixture } from '@tenantbox/core/testing'
import { describe, it } from 'vitest'
import { engine, specOf, useNodeImage } from './world.js'

const image = useNodeImage()
const spec = specOf(image, { limits: { memory: 256 * 1024 ** 2, cpus: 1, pids: 64, disk: undefined } })
const { boxes, commands } = nodeFixture(spec, `/bin/${basename(process.execPath)}`)

async function make(): Promise<DriverSubject> {
  const dataDir = await mkdtemp(join(tmpdir(), 'tenantbox-docker-'))
  return {
    driver: docker(),
    another: () => docker(),
    dataDir,
    boxes: { ...boxes, withoutImage: specOf('127.0.0.1:1/no-such-image:1') },
    commands,
    async crash(ref) {
      await engine.getContainer(ref.id).kill()
    },
    async plant(name) {
      const stranger = await engine.createContainer({ name, Image: image, Cmd: ['-'] })
      return {
        exists: async () => (await stranger.inspect()).Name === `/${name}`,
        remove: () => stranger.remove(),
      }
    },
    cleanup: () => rm(dataDir, { recursive: true }),
  }
}

describeDriver('docker', make, { describe, it })
