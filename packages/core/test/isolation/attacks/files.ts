import { randomUUID } from 'node:crypto'
import { lstat, mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import type { Isolation } from '../isolation.js'
import { numberOf } from '../syscalls.js'

/** Looks at everything that can be seen, and reads all that can be read, for a word; also in names. */
const SEARCH = (word: string) => `
  (async () => {
    const { readdir, readFile, lstat } = await import('node:fs/promises')
    const found = []
    const skipped = /^\\/(proc|sys|dev)$/
    const visit = async (folder) => {
      for (const name of await readdir(folder).catch(() => [])) {
        const path = folder === '/' ? '/' + name : folder + '/' + name
        if (name.includes(${JSON.stringify(word)})) found.push(path)
        const info = await lstat(path).catch(() => undefined)
        if (info?.isDirectory() && !skipped.test(path)) await visit(path)
        if (info?.isFile() && info.size < 1e6 && (await readFile(path, 'latin1').catch(() => '')).includes(${JSON.stringify(word)}))
          found.push(path)
      }
    }
    await visit('/')
    for (const process of (await readdir('/proc')).filter((name) => /^\\d+$/.test(name) && name !== String(globalThis.process.pid)))
      for (const file of ['environ', 'cmdline', 'mountinfo'])
        if ((await readFile('/proc/' + process + '/' + file, 'latin1').catch(() => '')).includes(${JSON.stringify(word)}))
          found.push(process + '/' + file)
    return found
  })()`

/** Other tenants' files, the gateway's and the host's. */
export function fileAttacks(world: () => Isolation): void {
  describe("files of others: an attacker's box", () => {
    it("sees no word of another tenant's workspace, mailbox, tenant.json or secrets, and no name of theirs", async () => {
      const { dataDir, mallory, victim } = world()
      const canary = `canary-${randomUUID()}`
      await victim.shell(`echo ${canary} > /workspace/${canary}; echo ${canary} > /run/tenantbox/${canary}`)
      await mkdir(join(dataDir, 'victim', 'mailbox'), { recursive: true })
      for (const file of ['mailbox/message', 'tenant.json.copy', 'gateway/note'])
        await writeFile(join(dataDir, 'victim', file), canary)
      await writeFile(join(dataDir, '.tenantbox', 'canary'), canary)
      // That the search finds what there is to be found.
      expect(await victim.node(SEARCH(canary))).toEqual(
        expect.arrayContaining([`/workspace/${canary}`, '/run/gateway/note']),
      )
      expect(await mallory.node(SEARCH(canary))).toEqual([])
    })

    it.each([
      ["another tenant's workspace", 'victim/workspace'],
      ['tenant.json', 'mallory/tenant.json'],
      ["another's tenant.json", 'victim/tenant.json'],
      ['the mailbox', 'mallory/mailbox'],
      ['pool.json, with its key', '.tenantbox/pool.json'],
      ['the lock', '.tenantbox/lock'],
      ['the trash', '.tenantbox/trash'],
      ["another's gateway socket", 'victim/gateway/gateway.sock'],
      ["another's agent socket", 'victim/run/agent.sock'],
    ])('cannot find %s by its path on the host', async (_, path) => {
      const { dataDir, mallory } = world()
      const absolute = join(dataDir, path)
      await lstat(absolute)
      for (const guess of [
        absolute,
        `/proc/1/root${absolute}`,
        `/proc/self/cwd/../..${absolute}`,
        `/workspace/../../${path}`,
      ])
        expect(
          await mallory.attempt(`lstat "${guess}"; opendir D, "${guess}" or open F, "<", "${guess}"`),
        ).toMatch(/^(ENOENT|EACCES)$/)
    })

    it("cannot find the engine's socket, or the engine's own files", async () => {
      const { engine, engineSocket, mallory } = world()
      const { DockerRootDir } = await engine.info()
      for (const path of [
        engineSocket,
        '/var/run/docker.sock',
        '/run/docker.sock',
        '/run/containerd/containerd.sock',
        DockerRootDir,
      ])
        expect(
          await mallory.attempt(`lstat "${path}"; opendir D, "${path}" or open F, "<", "${path}"`),
        ).toMatch(/^(ENOENT|EACCES)$/)
    })

    it('cannot follow a symlink of its own out of its box', async () => {
      const { dataDir, mallory } = world()
      const target = join(dataDir, 'victim', 'workspace')
      expect(
        await mallory.attempt(`symlink "${target}", "/workspace/way-out"; opendir D, "/workspace/way-out"`),
      ).toBe('ENOENT')
    })

    it('cannot open a file of the host by its handle, which no path is needed for', async () => {
      // The "shocker" attack: the root folder of a filesystem usually has inode 2.
      const handle = '$handle = pack("i i Q", 8, 1, 2); open M, "<", "/etc/passwd"'
      const { mallory } = world()
      expect(await mallory.syscall('open_by_handle_at', `do { ${handle}; fileno M }`, '$handle', 0)).toMatch(
        /^(EPERM|ENOSYS|EOPNOTSUPP)$/,
      )
    })

    it('cannot write its root filesystem, nor what the gateway mounts for reading', async () => {
      const { mallory } = world()
      const folders = ['/', '/bin', '/etc', '/lib', '/run', '/app', '/run/gateway', '/run/secrets']
      for (const folder of folders)
        expect(await mallory.attempt(`open F, ">", "${folder}/planted"`), folder).toMatch(/^(EROFS|EACCES)$/)
      for (const file of ['/bin/sh', '/app/agent.mjs', '/etc/passwd', '/etc/group'])
        expect(await mallory.attempt(`open F, ">>", "${file}"`), file).toMatch(/^(EROFS|EACCES)$/)
      for (const act of [
        'unlink("/run/gateway/gateway.sock") || undef',
        'rename("/run/gateway", "/run/g") || undef',
        'symlink("/x", "/run/gateway/x") || undef',
      ])
        expect(await mallory.attempt(act), act).toMatch(/^(EROFS|EACCES|EBUSY|EXDEV)$/)
    })

    it('cannot link a file of one mount into another, where somebody else would read it', async () => {
      const { mallory } = world()
      expect(
        await mallory.attempt('link("/run/gateway/gateway.sock", "/workspace/gateway.sock") || undef'),
      ).toMatch(/^(EXDEV|EPERM)$/)
      expect(await mallory.attempt('link("/etc/passwd", "/workspace/passwd") || undef')).toMatch(
        /^(EXDEV|EPERM)$/,
      )
      for (const how of ['link', 'rename'])
        expect(
          await mallory.attempt(`${how}("/run/tenantbox/agent.sock", "/workspace/agent.sock") || undef`),
        ).toBe('EXDEV')
    })

    it("shares no memory with another tenant's box: neither files, nor System V segments, nor queues", async () => {
      const { mallory, victim } = world()
      const name = `shared-${randomUUID()}`
      const [get, open] = [numberOf('shmget'), numberOf('mq_open')]
      const segment = (flags: number) => `syscall(${get}, 4711, 4096, ${flags})`
      const queue = (flags: number) =>
        `do { my ($name, $flags, $mode, $how) = ("${name}", ${flags}, 0666, 0); syscall(${open}, $name, $flags, $mode, $how) }`
      const file = `/dev/shm/${name}`
      expect(await victim.attempt(`open(F, ">", "${file}") && chmod 0666, "${file}"`)).toBe('allowed')
      expect(await victim.attempt(segment(0o1666))).toBe('allowed')
      expect(await victim.attempt(queue(0o102))).toBe('allowed')
      expect(await mallory.attempt(`open F, "<", "${file}"`)).toBe('ENOENT')
      expect(await mallory.attempt(segment(0))).toBe('ENOENT')
      expect(await mallory.attempt(queue(2))).toBe('ENOENT')
      // They are there for their own.
      expect(await victim.attempt(`open F, "<", "${file}"`)).toBe('allowed')
      expect(await victim.attempt(queue(2))).toBe('allowed')
    })
  })

  describe("secrets: an attacker's box", () => {
    it('has none in the environment of any process, in labels or anywhere in inspect', async () => {
      const { engine, name, pool, mallory, image } = world()
      const secret = `s3cret-${randomUUID()}`
      pool.update({ box: { image, secrets: { token: secret } } })
      try {
        await pool.stop('victim')
        await pool.ensure('victim')
        const inspected = JSON.stringify(await engine.getContainer(`tbx-${name}-victim`).inspect())
        expect(inspected).not.toContain(secret)
        expect(await world().victim.shell('cat /run/secrets/token')).toBe(secret)
        expect(await world().victim.shell('cat /proc/*/environ /proc/*/cmdline | grep -c s3cre[t]')).toBe('0')
        expect(await mallory.node(SEARCH(secret))).toEqual([])
      } finally {
        pool.update({ box: { image } })
      }
    })

    it("is not told the pool's key, its owner id or another tenant's name by its own environment", async () => {
      const { dataDir, mallory } = world()
      const { key, owner } = JSON.parse(await readFile(join(dataDir, '.tenantbox', 'pool.json'), 'utf8'))
      const seen = await mallory.shell('cat /proc/*/environ /proc/*/mountinfo /proc/*/cmdline /proc/*/cgroup')
      expect(seen).toContain('TENANTBOX_GATEWAY')
      for (const word of [key, owner, 'victim']) expect(seen).not.toContain(word)
    })
  })
}

/** What is seen of it in /proc, where gVisor writes things in its own way. */
export function fileAttacksSeenInProc(world: () => Isolation): void {
  describe('files, as /proc shows them: a box', () => {
    it('has no disk without a limit by a volume that its image declares', async () => {
      const { engine, image, mallory } = world()
      expect((await engine.getImage(image).inspect()).Config.Volumes).toEqual({ '/volume': {} })
      expect(await mallory.shell('grep " /volume " /proc/mounts')).toMatch(
        /^tmpfs .*nosuid,nodev,noexec.*size=65536k/,
      )
    })

    it('holds no descriptor that leads out of it, in its agent or in what is run in it', async () => {
      const { mallory } = world()
      const links = (await mallory.node(`(async () => {
        const { readdirSync, readlinkSync } = await import('node:fs')
        const tried = (read) => { try { return read() } catch { return [] } }
        return readdirSync('/proc').filter((name) => /^[0-9]+$/.test(name)).flatMap((id) =>
          tried(() => readdirSync('/proc/' + id + '/fd')).flatMap((fd) => tried(() => readlinkSync('/proc/' + id + '/fd/' + fd))))
      })()`)) as string[]
      const own = /^((pipe|socket):\[|anon_inode:|\/dev\/(null|urandom|random)$|\/proc(\/\d+\/fd)?$)/
      expect(links.join()).toContain('pipe:[')
      expect(links.filter((to) => !own.test(to))).toEqual([])
    })
  })
}
