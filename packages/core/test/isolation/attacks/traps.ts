import { randomUUID } from 'node:crypto'
import { existsSync, readdirSync } from 'node:fs'
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { deleteTree } from '../../../src/delete-tree.js'
import { Inside } from '../inside.js'
import type { Isolation } from '../isolation.js'
import { numberOf } from '../syscalls.js'

/** Files left behind so that the gateway, which is root, does something outside when it tidies up, measures or reads. */
export function trapAttacks(world: () => Isolation): void {
  /** A tenant who lays traps; `outside` must be as it was in the end. */
  const trapped = async (
    lay: (inside: Inside, outside: string) => Promise<unknown>,
    spring: (tenant: string) => Promise<unknown>,
  ) => {
    const { pool, dataDir } = world()
    const tenant = `trapper-${randomUUID().slice(0, 8)}`
    const outside = await mkdtemp(join(tmpdir(), 'tenantbox-outside-'))
    await writeFile(join(outside, 'precious'), 'precious')
    await mkdir(join(outside, 'folder'))
    try {
      await pool.ensure(tenant)
      await lay(new Inside(pool, tenant), outside)
      await spring(tenant)
      expect(await readFile(join(outside, 'precious'), 'utf8')).toBe('precious')
      expect(existsSync(join(outside, 'folder'))).toBe(true)
      expect(existsSync(join(dataDir, 'victim', 'tenant.json'))).toBe(true)
    } finally {
      await pool.remove(tenant, { data: 'delete', leases: 'abort' })
      await rm(outside, { recursive: true, force: true })
    }
    expect(existsSync(join(dataDir, tenant))).toBe(false)
    // What somebody made again while it was deleted waits there for the pool's next start.
    const trash = join(dataDir, '.tenantbox', 'trash')
    for (const left of readdirSync(trash)) expect(await deleteTree(join(trash, left))).toEqual([])
  }
  const deleteData = (tenant: string) => world().pool.remove(tenant, { data: 'delete' })
  const restart = async (tenant: string) => {
    await world().pool.stop(tenant)
    await world().pool.ensure(tenant)
  }

  describe('the gateway does not go outside', () => {
    it.each([
      ['deleting', '/workspace', deleteData],
      ['starting, which empties the run folder', '/run/tenantbox', restart],
    ] as const)('when %s, by symlinks to folders, files and its own parents', async (_, at, spring) => {
      await trapped(async (inside, outside) => {
        const links = [
          outside,
          `${outside}/precious`,
          `${outside}/folder`,
          '/',
          '..',
          '../..',
          '../../victim',
          '../tenant.json',
        ]
        for (const [index, target] of links.entries())
          await inside.shell(`ln -s ${target} ${at}/link-${index}`)
      }, spring)
    })

    it.each([
      ['deleting', '/workspace', deleteData],
      ['starting', '/run/tenantbox', restart],
    ] as const)('when %s 1,000 folders inside one another', async (_, at, spring) => {
      const nest = `chdir "${at}" or die; for (1..1000) { mkdir "d" x 50 or die $!; chdir "d" x 50 or die $! } symlink "../../..", "up"`
      await trapped((inside) => inside.perl(nest), spring)
    })

    it.each([
      ['deleting', '/workspace', deleteData],
      ['starting', '/run/tenantbox', restart],
    ] as const)('when %s folders that allow nothing, and names that are no text', async (_, at, spring) => {
      const lay = `chdir "${at}" or die; mkdir "closed"; mkdir "closed/in"; symlink "/", "closed/in/root"; chmod 0, "closed/in", "closed";
        for my $name ("\\xff\\xfe", "new\\nline", "-rf", "\\$(id)", "a" x 255, " ", "*") { open F, ">", $name or die "$name $!" }`
      await trapped((inside) => inside.perl(lay), spring)
    })

    it.each([
      ['deleting', '/workspace', deleteData],
      ['starting', '/run/tenantbox', restart],
    ] as const)(
      'when %s FIFOs, sockets and 2,000 files: it neither hangs nor opens them',
      async (_, at, spring) => {
        const lay = `chdir "${at}" or die; for (1..2000) { open F, ">", "f$_" or die } socket(S, 1, 1, 0); bind(S, unix("s")) or die; system("mkfifo", "p") == 0 or die`
        await trapped((inside) => inside.perl(lay), spring)
      },
    )

    it.each([
      ['deleting', deleteData],
      ['starting', restart],
    ] as const)('when %s what its owner has closed, or opened to others', async (_, spring) => {
      // A list of POSIX, version 2: another uid may do everything, also with what is made in the folder later.
      const list =
        'pack("L (S S L)*", 2, 1, 7, 0xffffffff, 2, 7, 1879048192, 4, 7, 0xffffffff, 16, 7, 0xffffffff, 32, 7, 0xffffffff)'
      const lists = ['access', 'default'].map(
        (kind) =>
          `($at, $kind, $list, $size, $flags) = ($_, "system.posix_acl_${kind}", ${list}, 44, 0); syscall(${numberOf('setxattr')}, $at, $kind, $list, $size, $flags) == 0 or $! == 95 or die "$!"`,
      )
      const lay = `for ("/workspace", "/run/tenantbox") { mkdir "$_/closed"; mkdir "$_/closed/in"; ${lists.join('; ')}; chmod 0, "$_/closed" or die; chmod 0, $_ or die }`
      await trapped((inside) => inside.perl(lay), spring)
    })

    it('to make a file that it cannot delete, or write: the marks for that are not for a tenant to set', async () => {
      const [SET_FLAGS, APPEND_ONLY, IMMUTABLE] = [0x40086602, 0x20, 0x10]
      await trapped(async (inside) => {
        for (const at of ['/workspace', '/run/tenantbox'])
          for (const mark of [APPEND_ONLY, IMMUTABLE])
            expect(
              await inside.attempt(
                `mkdir "${at}/marked"; open(F, "<", "${at}/marked") or die; my $mark = pack("q", ${mark}); ioctl(F, ${SET_FLAGS}, $mark)`,
              ),
            ).toMatch(/^(EPERM|ENOTTY|EOPNOTSUPP)$/)
      }, deleteData)
    })

    it('when deleting what is exchanged for symlinks meanwhile', async () => {
      // The box's processes are gone before its files are deleted; who could exchange them must have escaped, so the
      // exchange goes on from outside here, right on the host's folder.
      const { dataDir } = world()
      await trapped(
        async (inside) =>
          void (await inside.perl(
            'for (1..300) { mkdir "/workspace/d$_"; open F, ">", "/workspace/d$_/f" }',
          )),
        async (tenant) => {
          const { Worker } = await import('node:worker_threads')
          const worker = new Worker(EXCHANGE, {
            eval: true,
            workerData: { root: join(dataDir, '.tenantbox', 'trash'), slug: tenant },
          })
          try {
            await deleteData(tenant)
          } finally {
            await worker.terminate()
          }
        },
      )
    })

    it('when its files are handed to their owner at a start: only the roots of the mounts are', async () => {
      const { dataDir } = world()
      await trapped(async (inside, outside) => {
        await inside.shell(
          `ln -s ${outside}/precious /run/tenantbox/agent.sock.d; ln -s ${outside} /workspace/run; ln -s ${dataDir}/victim/workspace /workspace/workspace`,
        )
      }, restart)
    })
  })
}

/** Exchanges folders of a trash for symlinks to where nothing may be deleted. */
const EXCHANGE = `
  const { workerData: { root, slug } } = require('node:worker_threads')
  const { readdirSync, renameSync, symlinkSync } = require('node:fs')
  for (;;)
    try {
      for (const name of readdirSync(root).filter((name) => name.startsWith(slug))) {
        const folder = root + '/' + name + '/workspace'
        for (const child of readdirSync(folder).slice(0, 50)) {
          renameSync(folder + '/' + child, folder + '/' + child + '.moved')
          symlinkSync('../../../..', folder + '/' + child)
        }
      }
    } catch {}`
