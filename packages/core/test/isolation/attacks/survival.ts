import { readdirSync, readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { next } from '../../pool/helpers.js'
import { Inside } from '../inside.js'
import type { Isolation } from '../isolation.js'

/** Processes of a uid anywhere on this machine. */
function processesOf(uid: number): number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((pid) => uidOf(pid) === uid)
}

function uidOf(pid: number): number | undefined {
  try {
    return Number(/^Uid:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1])
  } catch {
    // It has ended meanwhile.
    return undefined
  }
}

/** Ways to live on after the box was stopped. */
export function survivalAttacks(world: () => Isolation): void {
  const ignoreAll = '$SIG{$_} = "IGNORE" for qw(TERM INT HUP QUIT USR1 USR2 PIPE ALRM)'

  describe('no process survives that', () => {
    it.each([
      [
        'forks twice, begins a session of its own and ignores SIGTERM',
        `fork && exit; ${ignoreAll}; syscall(112); fork && exit; sleep 600`,
      ],
      [
        'forks without end',
        `fork && exit; ${ignoreAll}; while (1) { fork; select undef, undef, undef, 0.05 }`,
      ],
      ['was stopped', 'fork && exit; kill STOP => $$; sleep 600'],
      ['waits in a read that nobody answers', 'fork && exit; pipe R, W; <R>'],
    ])('%s', async (name, script) => {
      const { pool } = world()
      const tenant = `survivor ${name}`
      const inside = new Inside(pool, tenant)
      try {
        const uid = Number(await inside.shell('id -u'))
        await inside.shell(`/bin/perl -e '${script}' >/dev/null 2>&1 </dev/null &`)
        await expect.poll(() => processesOf(uid).length).toBeGreaterThanOrEqual(3)
        await pool.stop(tenant)
        expect(processesOf(uid)).toEqual([])
      } finally {
        await pool.remove(tenant, { data: 'delete' })
      }
    })

    it('hides in a paused box that is stopped', async () => {
      const { pool } = world()
      const tenant = 'survivor that is paused'
      const inside = new Inside(pool, tenant)
      try {
        const uid = Number(await inside.shell('id -u'))
        await inside.shell(`/bin/perl -e '${ignoreAll}; sleep 600' >/dev/null 2>&1 </dev/null &`)
        await pool.pause(tenant)
        await pool.stop(tenant)
        expect(processesOf(uid)).toEqual([])
      } finally {
        await pool.remove(tenant, { data: 'delete' })
      }
    })

    it("kills its box's own init: that ends the box, and the next wake is another life", async () => {
      const { pool } = world()
      const tenant = 'survivor that kills init'
      try {
        const { generation } = await pool.ensure(tenant)
        const died = next(pool, 'transition', ({ tenant: whose, to }) => whose === tenant && to === 'stopped')
        // The kernel protects the first process of a pid namespace from its own; that ends once its child is gone.
        await new Inside(pool, tenant).shell('kill -9 1; kill -9 -1').catch(() => undefined)
        await died
        expect((await pool.ensure(tenant)).generation).toBe(generation + 1)
        expect(await (await pool.fetch(tenant, '/ping')).text()).toBe('{}')
      } finally {
        await pool.remove(tenant, { data: 'delete' })
      }
    })
  })
}
