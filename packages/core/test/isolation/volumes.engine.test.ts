import { lstat } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { isTenantBoxError, type TenantOverrides } from '../../src/index.js'
import { Inside } from './inside.js'
import { useIsolation } from './isolation.js'

/** What each tenant's box is made of, where that is not as by default. */
const boxes = new Map<string, NonNullable<TenantOverrides['box']>>()

const world = useIsolation(undefined, {
  perTenant: (tenant) => {
    const box = boxes.get(tenant)
    return box ? { box } : {}
  },
})

afterAll(async () => {
  for (const { image } of boxes.values())
    if (image) await world().engine.getImage(image).remove({ force: true })
})

/** Has the tenant's next box made of an image that declares a volume beside the attacker's own. */
async function declare(tenant: string, volume: string): Promise<void> {
  const { engine, image } = world()
  const container = await engine.createContainer({ Image: image, Cmd: ['-'] })
  try {
    const [repo, tag] = image.split(':')
    const changes = `VOLUME ${JSON.stringify([volume])}\nCMD ["/bin/node", "/app/agent.mjs"]`
    await container.commit({ repo, tag: `${tag}-${tenant}`, changes })
    boxes.set(tenant, { image: `${repo}:${tag}-${tenant}` })
  } finally {
    await container.remove({ v: true })
  }
}

/** Removes the tenant after `work`, which must leave the engine no volume. */
async function forTenant<T>(tenant: string, work: (tenant: string) => Promise<T>): Promise<T> {
  const { engine, pool } = world()
  const volumes = async () => ((await engine.listVolumes()).Volumes ?? []).map(({ Name }) => Name)
  const before = await volumes()
  try {
    return await work(tenant)
  } finally {
    expect(await volumes()).toEqual(before)
    await pool.remove(tenant, { data: 'delete' })
  }
}

/** Why the tenant's box cannot be made. */
async function refusal(tenant: string): Promise<string> {
  const error = await world()
    .pool.ensure(tenant)
    .catch((failure: unknown) => failure)
  if (!isTenantBoxError(error, 'START_FAILED')) throw error
  return error.message
}

describe('a volume that an image declares', () => {
  it.each([
    ['above the folders of the box', '/run'],
    ['above its accounts', '/etc'],
    ['in place of a folder of the box', '/workspace/'],
    ['in place of its memory for files', '/dev/shm'],
    ['below its memory for files', '/tmp/below'],
    ['in place of the cgroups', '/sys/fs/cgroup'],
  ])('%s is bounded, and changes nothing of them: %s', async (_, volume) => {
    await forTenant(`bounded-${boxes.size}`, async (tenant) => {
      const { engine, pool, name, dataDir } = world()
      await declare(tenant, volume)
      const inside = new Inside(pool, tenant)
      // The way to the agent, the way back from it, and the way to the disk are as they should be.
      expect(await (await pool.fetch(tenant, '/ask')).text()).toBe(tenant)
      await inside.shell('echo mine > /workspace/notes')
      await lstat(join(dataDir, tenant, 'workspace', 'notes'))
      expect(await inside.shell('cat /run/gateway/x; echo x > /run/gateway/x')).toContain('Read-only')
      expect(await inside.shell('id -un')).toBe('tenant')
      const { Mounts } = await engine.getContainer(`tbx-${name}-${tenant}`).inspect()
      expect(Mounts.filter(({ Type }) => Type === 'volume')).toEqual([])
      const writable = (
        await inside.shell('grep " ext4 \\| xfs \\| btrfs \\| overlay " /proc/mounts | grep " rw,"')
      )
        .split('\n')
        .map((line) => line.split(' ')[1])
      expect(writable).toEqual(['/workspace', '/run/tenantbox'])
    })
  })

  it.each(['/workspace/cache', '/run/tenantbox/agent.sock', '/etc/../workspace/deep/er'])(
    "in a tenant's own folder is refused: %s",
    async (volume) => {
      await forTenant(`refused-${boxes.size}`, async (tenant) => {
        await declare(tenant, volume)
        expect(await refusal(tenant)).toContain(`nothing is mounted at "${volume}"`)
      })
    },
  )

  it.each(['/proc', '/run/gateway', '/'])(
    'is not led elsewhere by a symlink in its place: %s',
    async (target) => {
      await forTenant(`linked-${boxes.size}`, async (tenant) => {
        const { pool } = world()
        const inside = new Inside(pool, tenant)
        await inside.shell(`ln -s ${target} /workspace/cache`)
        const mounts = async () => (await inside.shell('cat /proc/mounts')).match(/(?<= )\/\S*/g)?.sort()
        const before = await mounts()
        await declare(tenant, '/workspace/cache')
        const warnings: string[] = []
        const off = pool.on('warning', ({ code, message }) => warnings.push(`${code}: ${message}`))
        await pool.stop(tenant)
        await pool.ensure(tenant)
        off()
        // The old box goes on.
        expect(warnings.join()).toMatch(/^REBUILD_FAILED: .*nothing is mounted at "\/workspace\/cache"/)
        expect(await mounts()).toEqual(before)
      })
    },
  )

  it.each(['/', 'workspace', '/run/secrets/below'])('where none can be makes no box: %s', async (volume) => {
    await forTenant(`impossible-${boxes.size}`, async (tenant) => {
      await declare(tenant, volume)
      await refusal(tenant)
    })
  })

  it('forges no line of a log by its name, which the engine tells', async () => {
    await forTenant(`forged-${boxes.size}`, async (tenant) => {
      await declare(tenant, 'forged\u001b[2J\nline\u009b')
      expect(await refusal(tenant)).toContain('forged\\u001b[2J\\u000aline\\u009b')
    })
  })
})

it("a mount of the user's in a tenant's own folder is refused", async () => {
  await forTenant('mounted', async (tenant) => {
    boxes.set(tenant, { mounts: [{ host: world().dataDir, box: '/workspace/models' }] })
    expect(await refusal(tenant)).toContain('nothing is mounted at "/workspace/models"')
  })
})
