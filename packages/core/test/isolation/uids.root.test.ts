import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { lstat, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it, onTestFinished } from 'vitest'
import { freshen } from '../../src/freshen.js'
import { TenantDirs } from '../../src/tenant-dirs.js'
import { useIsolation } from './isolation.js'

/**
 * What a process could do that has escaped its box: it runs on the host as the tenant's uid and gid, and in no other
 * group. Needs root, as giving every tenant a uid of its own does.
 */
describe('a process that escaped', () => {
  const world = useIsolation()

  const escaped = (uid: number, script: string) => {
    const { stdout, stderr, status } = spawnSync('/usr/bin/perl', ['-e', script], {
      uid,
      gid: uid,
      encoding: 'utf8',
    })
    expect(`${stderr}${status}`, script).toBe('0')
    return stdout
  }
  const uidOf = async (tenant: string) =>
    JSON.parse(await readFile(join(world().dataDir, tenant, 'tenant.json'), 'utf8')).uid as number

  it('has a uid of its own tenant alone, from the range of the driver', async () => {
    const [mallory, victim] = [await uidOf('mallory'), await uidOf('victim')]
    expect(mallory).not.toBe(victim)
    for (const uid of [mallory, victim]) {
      expect(uid).toBeGreaterThanOrEqual(1_879_048_192)
      expect(uid).toBeLessThanOrEqual(2_147_483_646)
    }
    expect(await world().mallory.shell('id -u; id -G')).toBe(`${mallory}\n${mallory}`)
  })

  it.each([
    ["another tenant's workspace", 'victim/workspace'],
    ["another tenant's file", 'victim/workspace/notes'],
    ["another tenant's agent socket", 'victim/run/agent.sock'],
    ["another tenant's gateway socket", 'victim/gateway/gateway.sock'],
    ["another tenant's secrets", 'victim/secrets'],
    ["another tenant's tenant.json", 'victim/tenant.json'],
    ['its own tenant.json', 'mallory/tenant.json'],
    ['its own mailbox', 'mallory/mailbox'],
    ["the pool's key", '.tenantbox/pool.json'],
    ["the pool's lock", '.tenantbox/lock'],
    ['the trash', '.tenantbox/trash'],
  ])('opens neither for reading nor for writing: %s', async (_, path) => {
    const { dataDir, victim } = world()
    await victim.shell('echo mine > /workspace/notes')
    const file = join(dataDir, path)
    await lstat(file)
    const tried = escaped(
      await uidOf('mallory'),
      `for my $how ("<", ">>") { print "opened" if open F, $how, "${file}" } print "listed" if opendir D, "${file}"; socket S, 1, 1, 0; print "connected" if connect S, pack "S a*", 1, substr "${file}\\0", 0, 107`,
    )
    expect(tried).toBe('')
  })

  it("neither connects to the engine's socket nor signals another tenant's processes", async () => {
    const { engine, engineSocket, name } = world()
    const { State } = await engine.getContainer(`tbx-${name}-victim`).inspect()
    const tried = escaped(
      await uidOf('mallory'),
      `socket S, 1, 1, 0; print "connected" if connect S, pack "S a*", 1, "${engineSocket}\\0"; print "signalled" if kill 0, ${State.Pid}, ${process.pid}`,
    )
    expect(tried).toBe('')
  })

  it('outlives its tenant, and yet owns nothing of who comes by the same name next', async () => {
    const { dataDir, pool } = world()
    const tenant = 'comes-again'
    await pool.ensure(tenant)
    const first = await uidOf(tenant)
    const survivor = spawn('/bin/sleep', ['600'], { uid: first, gid: first })
    const gone = once(survivor, 'exit')
    try {
      const uids = new Set([first])
      for (let i = 0; i < 3; i++) {
        await pool.remove(tenant, { data: 'delete' })
        await pool.ensure(tenant)
        uids.add(await uidOf(tenant))
      }
      expect(uids.size).toBe(4)
      for (const folder of ['workspace', 'run', 'secrets'])
        expect((await lstat(join(dataDir, tenant, folder))).uid).not.toBe(first)
      expect(survivor.exitCode).toBeNull()
    } finally {
      survivor.kill('SIGKILL')
      await gone
      await pool.remove(tenant, { data: 'delete' })
    }
  })

  it('keeps its uid as long as its folder lives, also over another start of its box', async () => {
    const { pool } = world()
    const before = await uidOf('mallory')
    await pool.remove('mallory')
    await pool.ensure('mallory')
    expect(await uidOf('mallory')).toBe(before)
    expect(await world().mallory.shell('id -u')).toBe(String(before))
  })
})

describe('a uid', () => {
  const range = { first: 2_000_000_000, last: 2_000_000_011 }
  const opened = async (dataDir: string) => {
    const dirs = new TenantDirs(dataDir)
    await dirs.lockPath()
    return { dirs, ...(await dirs.scan(() => undefined)) }
  }

  it('is never given twice, also by the next process, also of a folder that nobody can read any more', async () => {
    const dataDir = await mkdtemp(join(tmpdir(), 'tenantbox-uids-'))
    onTestFinished(() => rm(dataDir, { recursive: true }))
    const first = await opened(dataDir)
    const uids = new Set<number>()
    for (const tenant of ['a', 'b', 'c']) {
      const { uid } = await first.dirs.ensure(tenant, tenant, range)
      uids.add(uid ?? expect.fail('no uid'))
      await freshen(first.dirs.folders(tenant), {}, { uid: uid ?? 0, gid: uid ?? 0 })
    }
    expect(uids.size).toBe(3)
    await writeFile(join(dataDir, 'c', 'tenant.json'), 'no JSON')
    const second = await opened(dataDir)
    expect(second.strays.map(({ name }) => name)).toEqual(['c'])
    for (const tenant of ['d', 'e', 'f']) uids.add((await second.dirs.ensure(tenant, tenant, range)).uid ?? 0)
    expect(uids.size).toBe(6)
    await expect(second.dirs.ensure('g', 'g', range)).rejects.toThrow(/range/)
  })
})
