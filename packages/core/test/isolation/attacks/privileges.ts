import { describe, expect, it } from 'vitest'
import type { Isolation } from '../isolation.js'
import { numberOf } from '../syscalls.js'

/** Ways to become root, in an image that was made by the attacker. */
export function privilegeAttacks(world: () => Isolation): void {
  describe("privileges: an attacker's box", () => {
    it('does not run as root, though its image says so', async () => {
      const { engine, image, mallory } = world()
      expect((await engine.getImage(image).inspect()).Config.User).toBe('root')
      expect(await mallory.shell('id -u')).not.toBe('0')
    })

    it('gains nothing by programs that are setuid or setgid root', async () => {
      const { mallory } = world()
      const own = await mallory.shell('id -u')
      expect(await mallory.perl('print +(stat "/bin/setuid-id")[2] & 04000')).not.toBe('0')
      expect(await mallory.shell('setuid-id -u')).toBe(own)
      expect(await mallory.shell('setgid-id -g')).toBe(own)
      expect(await mallory.shell('setuid-cat /etc/roots-own')).toContain('Permission denied')
    })

    it('gains nothing by file capabilities', async () => {
      const { mallory } = world()
      const raw = await mallory.run(['/bin/capable-perl', '-e', 'print socket(S, 2, 3, 1) ? "raw" : $! + 0'])
      // With an empty bounding set the kernel does not even start it, or starts it without them.
      expect(raw.exitCode === 0 ? raw.stdout : 'not started').toMatch(/^(1|not started)$/)
    })

    it.each([
      ['setuid(0)', '$> = 0; $> == 0 ? 1 : undef'],
      ['setgid(0)', '$) = "0 0"; $) =~ /^0/ ? 1 : undef'],
      ['chown to root', 'open(F, ">", "/workspace/own"); chown(0, 0, "/workspace/own") || undef'],
      ['a root shell by /etc/passwd', 'open(F, ">>", "/etc/passwd")'],
      ["another tenant's uid", '$> = 1879048192; $> == 1879048192 ? 1 : undef'],
    ])('cannot have %s', async (_, expression) => {
      expect(await world().mallory.attempt(expression)).toMatch(/^(EPERM|EACCES|EROFS|EINVAL)$/)
    })

    it('gains nothing by a setuid program of its own making', async () => {
      const { mallory } = world()
      await mallory.shell('cat /bin/id > /workspace/own-id; chmod 4755 /workspace/own-id')
      const root = await mallory.shell('id -u')
      expect(await mallory.shell('/workspace/own-id -u')).toBe(root)
    })

    it('cannot raise its limits', async () => {
      const { mallory } = world()
      expect(await mallory.shell('ulimit -n 1000000 && echo raised')).not.toContain('raised')
      expect(await mallory.shell('ulimit -c unlimited && echo raised')).not.toContain('raised')
    })

    it('sees no process but its own, and can signal no other', async () => {
      const { mallory, victim } = world()
      await victim.holding('$0 = "victims-own"', async () => {
        expect(await mallory.shell('cat /proc/[0-9]*/cmdline | grep -c victims-[o]wn')).toBe('0')
      })
      const all = await mallory.perl(
        'opendir P, "/proc"; print join ",", map { (stat "/proc/$_")[4] // () } grep { /^[0-9]+$/ } readdir P',
      )
      expect(new Set(all.split(','))).toEqual(new Set([await mallory.shell('id -u')]))
      // A pid of the host's: the engine's own, or this process's.
      expect(await mallory.attempt(`kill(0, ${process.pid}) || undef`)).toMatch(/^(ESRCH|EPERM)$/)
    })

    it('cannot trace or read the memory of a process of somebody else', async () => {
      const { mallory } = world()
      const attach = 16
      expect(await mallory.syscall('ptrace', attach, process.pid, 0, 0)).toMatch(/^(ESRCH|EPERM|ENOSYS)$/)
      const memory = 'pack("P8 Q", "12345678", 8)'
      expect(await mallory.syscall('process_vm_readv', process.pid, memory, 1, memory, 1, 0)).toMatch(
        /^(ESRCH|EPERM|ENOSYS)$/,
      )
    })

    it('has no capability and gains none, in its agent and in what is run in it', async () => {
      const { mallory } = world()
      for (const process of ['1', 'self']) {
        const status = await mallory.shell(`cat /proc/${process}/status`)
        expect(status).toMatch(/^CapEff:\s+0+$/m)
        expect(status).not.toMatch(/^Cap\w+:\s+0*[1-9a-f]/m)
      }
      const getNoNewPrivileges = 39
      expect(
        await mallory.perl(`print syscall(${numberOf('prctl')}, ${getNoNewPrivileges}, 0, 0, 0, 0)`),
      ).toBe('1')
    })
  })
}
