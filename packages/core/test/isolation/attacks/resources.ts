import { readdir, stat } from 'node:fs/promises'
import { basename, dirname } from 'node:path'
import { describe, expect, it } from 'vitest'
import type { Isolation } from '../isolation.js'
import { Bystander } from '../load.js'
import { numberOf } from '../syscalls.js'

const MiB = 1024 ** 2
const PIDS = 256
const OPEN_FILES = 8192
const MEMORY = 512 * MiB

/** What a box may use up is its own share; another tenant's requests keep being answered meanwhile. */
export function resourceAttacks(world: () => Isolation): void {
  describe("resources: an attacker's box", () => {
    let bystander: Bystander | undefined
    const attack = <T>(name: string, work: () => Promise<T>): Promise<T> => {
      bystander ??= new Bystander(world().pool, 'victim')
      return bystander.during(name, work)
    }

    it('cannot fork more than its processes', async () => {
      const bomb =
        'my @all; while (defined(my $pid = fork)) { if (!$pid) { sleep 30; exit } push @all, $pid }'
      const count = await attack('fork bomb', () =>
        world().mallory.perl(`${bomb} my $error = $! + 0; kill 9, @all; print scalar(@all), " ", $error`),
      )
      const [processes = 0, error] = count.split(' ').map(Number)
      expect(processes).toBeGreaterThan(PIDS / 2)
      expect(processes).toBeLessThan(PIDS)
      expect(error).toBe(11)
    })

    it('that forks without end, each child forking on, harms none but itself', async () => {
      const { mallory, pool } = world()
      const bomb = 'my $end = time + 3; while (time < $end) { fork } kill 9, $$'
      await attack('exponential fork bomb', () => mallory.run(['/bin/perl', '-e', bomb]))
      expect(await (await pool.fetch('victim', '/ping')).text()).toBe('{}')
    })

    it('cannot take more than its memory: what does is killed in the box', async () => {
      const { mallory } = world()
      const bomb = `my @all; while (@all < ${(2 * MEMORY) / (16 * MiB)}) { push @all, "x" x ${16 * MiB} } print "got it all"`
      const { exitCode, stdout } = await attack('memory bomb', () => mallory.run(['/bin/perl', '-e', bomb]))
      expect(exitCode).toBe(137)
      expect(stdout).toBe('')
    })

    it('cannot take more memory by files in memory', async () => {
      const { mallory } = world()
      const written = await attack('tmpfs bomb', async () =>
        mallory.shell(
          'for i in 1 2 3 4 5 6 7 8; do for at in /tmp /dev/shm; do dd if=/dev/zero of=$at/$i bs=1M count=64; done; done 2>&1 | grep -c "No space left"; rm -f /tmp/[1-8] /dev/shm/[1-8]',
        ),
      )
      // Both hold 64 MiB at most.
      expect(Number(written)).toBeGreaterThanOrEqual(12)
    })

    it('cannot use more CPU than its share, with however many processes', async () => {
      const { mallory, pool } = world()
      const used = async () => (await pool.use('mallory', (box) => box.stats())).cpuSeconds
      const before = await used()
      const began = performance.now()
      const hog =
        'for (1..8) { last unless fork } my $end = time + 3; 1 while time < $end; 1 while wait != -1'
      await attack('CPU hog', () => mallory.run(['/bin/perl', '-e', hog]))
      const share = ((await used()) - before) / ((performance.now() - began) / 1000)
      expect(share).toBeLessThan(1.2)
    })

    it('cannot open more files than its processes may, and leaves others theirs', async () => {
      const { mallory, victim } = world()
      const open =
        'my @all; while (open my $file, "<", "/etc/passwd") { push @all, $file } $opened = @all; $why = $! + 0'
      const [opened = 0, why] = (await mallory.perl(`${open}; print "$opened $why"`)).split(' ').map(Number)
      expect(opened).toBeLessThan(OPEN_FILES)
      expect(why).toBe(24)
      const many = `for (1..50) { last unless fork } ${open}; sleep 1 while getppid != 1 && $n++ < 2`
      await attack('open files bomb', () =>
        mallory.holding(many, async () =>
          expect(await victim.attempt('open F, "<", "/etc/passwd"')).toBe('allowed'),
        ),
      )
    })

    it('cannot fill the disk by its root or its /dev', async () => {
      const { mallory } = world()
      expect(await mallory.attempt('open F, ">", "/filler"')).toMatch(/^(EROFS|EACCES)$/)
      expect(await mallory.attempt('open F, ">", "/dev/filler"')).toMatch(/^(EACCES|EPERM|EROFS)$/)
    })

    it('cannot use up the inodes of /tmp for others: it is its own', async () => {
      const { mallory, victim } = world()
      const fill = 'my $n = 0; while ($n < 200_000 && open F, ">", "/tmp/inode-$n") { $n++ } print "$n"'
      await attack('inode bomb', () => mallory.run(['/bin/perl', '-e', fill]))
      expect(await victim.attempt('open F, ">", "/tmp/mine"')).toBe('allowed')
      await mallory.shell('find /tmp -name "inode-*" -delete')
    })

    it('cannot flood the disk with its log', async () => {
      const { engine, name, mallory } = world()
      const flood =
        'open OUT, ">", "/proc/1/fd/1" or die; for (1..20_000) { print OUT "x" x 1000, "\\n" } print "done"'
      expect(await attack('log flood', () => mallory.perl(flood))).toBe('done')
      const { LogPath } = await engine.getContainer(`tbx-${name}-mallory`).inspect()
      const logs = (await readdir(dirname(LogPath))).filter((file) => file.startsWith(basename(LogPath)))
      const sizes = await Promise.all(
        logs.map(async (file) => (await stat(`${dirname(LogPath)}/${file}`)).size),
      )
      expect(sizes.length).toBeLessThanOrEqual(3)
      expect(sizes.reduce((sum, size) => sum + size, 0)).toBeLessThan(4 * MiB)
    })

    it('cannot flood the gateway with what a command writes', async () => {
      const { pool } = world()
      const { truncated, stdout } = await attack('output flood', () =>
        pool.use('mallory', (box) =>
          box.exec(['/bin/perl', '-e', 'print "x" x 1048576 for 1..64'], { maxOutput: '1m' }),
        ),
      )
      expect(truncated).toBe(true)
      expect(stdout.length).toBeLessThanOrEqual(MiB)
    })
  })

  describe("what the kernel counts per user: an attacker's box uses up its own alone", () => {
    const [INOTIFY, QUEUE, MQ_OPEN, BLOCK] = (
      ['inotify_init1', 'rt_sigqueueinfo', 'mq_open', 'rt_sigprocmask'] as const
    ).map(numberOf)
    const signal =
      'my ($pid, $signal, $info) = ($$, 34, pack("i i i x116", 34, 0, -1)); my $set = pack("Q", 1 << 33); my ($old, $size) = (0, 8)'
    const blocked = `${signal}; syscall(${BLOCK}, 0, $set, $old, $size) == 0 or die`
    const queue = (name: string) =>
      `my ($name, $flags, $mode, $attributes) = (${name}, 0102, 0600, pack("q q q q x32", 0, 10, 8192, 0)); syscall(${MQ_OPEN}, $name, $flags, $mode, $attributes)`

    it.each([
      [
        'inotify instances',
        `my $n = 0; $n++ while syscall(${INOTIFY}, 0) != -1; die unless $! == 24 && $n < 8000`,
        `syscall(${INOTIFY}, 0)`,
      ],
      [
        'pending signals',
        `${blocked}; 1 while syscall(${QUEUE}, $pid, $signal, $info) != -1; die "$!" unless $! == 11`,
        `${blocked}; syscall(${QUEUE}, $pid, $signal, $info)`,
      ],
      [
        'message queues',
        `my $n = 0; $n++ while do { ${queue('"q$n"')} } != -1; die "$!" unless $n > 0`,
        queue('"mine"'),
      ],
      [
        'processes',
        'while (defined(my $pid = fork)) { if (!$pid) { sleep 20; exit } }',
        'my $pid = fork; defined $pid && !$pid && exit; $pid',
      ],
    ])('%s', async (_, exhaust, use) => {
      const { mallory, victim } = world()
      await mallory.holding(exhaust, async () => expect(await victim.attempt(use)).toBe('allowed'))
    })

    it('the buffers of pipes', async () => {
      const { mallory, victim } = world()
      const fill =
        'my @all; for (1..2000) { pipe(my $r, my $w) or last; fcntl($w, 1031, 1048576); push @all, $r, $w }'
      await mallory.holding(fill, async () =>
        // F_GETPIPE_SZ; a user over the limit gets a page or two.
        expect(await victim.perl('pipe R, W; print fcntl(W, 1032, 0)')).toBe('65536'),
      )
    })

    it('key rings, of which it has none', async () => {
      const { mallory } = world()
      for (const call of ['add_key', 'keyctl', 'request_key'] as const)
        expect(await mallory.syscall(call, 0, 0, 0, 0, 0)).toMatch(/^(EPERM|ENOSYS|EACCES)$/)
    })
  })
}
