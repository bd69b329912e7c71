import { describe, expect, it } from 'vitest'
import type { Isolation } from '../isolation.js'
import { socketProgram } from '../machine-code.js'
import type { SystemCall } from '../syscalls.js'

const CLONE_NEWUSER = 0x10000000
const AF_VSOCK = 40

/** System calls by which kernels were broken or hosts reconfigured, and what they are for. */
const DENIED: readonly (readonly [name: string, call: SystemCall, ...args: (string | number)[]])[] = [
  ['io_uring: its work passes by every filter', 'io_uring_setup', 1, '"\\0" x 120'],
  ['io_uring, entered', 'io_uring_enter', 0, 0, 0, 0, 0, 0],
  ['io_uring, registered', 'io_uring_register', 0, 0, 0, 0],
  ['eBPF', 'bpf', 0, 0, 0],
  ['performance counters', 'perf_event_open', '"\\0" x 112', 0, -1, -1, 0],
  ['page faults in user space', 'userfaultfd', 0],
  ['the key rings: keyctl', 'keyctl', 0, -3, 1],
  ['the key rings: add_key', 'add_key', '"user"', '"name"', '"data"', 4, -3],
  ['the key rings: request_key', 'request_key', '"user"', '"name"', 0, -3],
  ['a user namespace', 'unshare', CLONE_NEWUSER],
  ['a mount namespace', 'unshare', 0x20000],
  ['a network namespace', 'unshare', 0x40000000],
  ['a process in a user namespace', 'clone', CLONE_NEWUSER | 17, 0, 0, 0, 0],
  ['a process of clone3, whose flags no filter sees', 'clone3', 0, 0],
  ["another process's namespace", 'setns', 0, 0],
  ['mount', 'mount', '"none"', '"/tmp"', '"tmpfs"', 0, 0],
  ['umount', 'umount2', '"/run/secrets"', 2],
  ['a file system, opened', 'fsopen', '"tmpfs"', 0],
  ['a mount tree, opened', 'open_tree', -100, '"/"', 1],
  ['a mount, moved', 'move_mount', -100, '"/tmp"', -100, '"/workspace"', 0],
  ['a mount, changed', 'mount_setattr', -100, '"/"', 0, 0, 0],
  ['a new root', 'pivot_root', '"/tmp"', '"/tmp"'],
  ['chroot', 'chroot', '"/tmp"'],
  ['a kernel module', 'init_module', '"x"', 1, '""'],
  ['a kernel module from a file', 'finit_module', 0, '""', 0],
  ['a kernel module, unloaded', 'delete_module', '"x"', 0],
  ['another kernel', 'kexec_load', 0, 0, 0, 0],
  ['another kernel from a file', 'kexec_file_load', 0, 0, 0, '""', 0],
  ['a reboot', 'reboot', 0xfee1dead, 672274793, 0, 0],
  ['swap', 'swapon', '"/tmp/x"', 0],
  ['swap, off', 'swapoff', '"/tmp/x"'],
  ["the machine's clock", 'clock_settime', 0, '"\\0" x 16'],
  ["the machine's clock, by the older call", 'settimeofday', '"\\0" x 16', 0],
  ["the machine's name", 'sethostname', '"x"', 1],
  ["the kernel's log", 'syslog', 3, '"\\0" x 64', 64],
  ['process accounting', 'acct', '"/tmp/x"'],
  ['quotas', 'quotactl', 0, '"/dev/sda"', 0, 0],
  ["another process's descriptors", 'pidfd_getfd', 0, 0, 0],
  ["another process's memory advice", 'process_madvise', 0, 0, 0, 0, 0],
  ['file handles', 'open_by_handle_at', 0, '"\\0" x 16', 0],
  ['fanotify, of the whole file system', 'fanotify_init', 0, 0],
  ['ports of the hardware', 'ioperm', 0, 1, 1],
  ['all ports of the hardware', 'iopl', 3],
]

/** Files by which the kernel is steered, or tells what is not a tenant's business. */
const STEERING = [
  '/proc/sysrq-trigger',
  '/proc/sys/kernel/core_pattern',
  '/proc/sys/kernel/modprobe',
  '/proc/sys/kernel/hostname',
  '/proc/sys/vm/drop_caches',
  '/proc/sys/fs/binfmt_misc/register',
  '/proc/sys/net/ipv4/ip_forward',
  '/proc/irq/default_smp_affinity',
  '/proc/bus/pci/00/00.0',
  '/sys/kernel/uevent_helper',
  '/sys/kernel/mm/transparent_hugepage/enabled',
  '/sys/power/state',
  '/sys/class/net/lo/mtu',
]

const TELLING = [
  '/proc/kcore',
  '/proc/keys',
  '/proc/timer_list',
  '/proc/sched_debug',
  '/dev/mem',
  '/dev/kmsg',
  '/dev/sda',
  '/dev/vda',
  '/sys/kernel/debug/tracing/trace',
  '/sys/firmware/dmi/tables/DMI',
]

const isX64 = process.arch === 'x64'
if (!isX64) console.warn('Left out: attacks by calls that only x86-64 has.')

/** The kernel that all boxes of runc share. A runtime with a kernel of its own refuses by other means. */
export function kernelAttacks(world: () => Isolation): void {
  describe("the kernel: an attacker's box may not use", () => {
    for (const [name, call, ...args] of DENIED)
      it(name, async () => {
        const expected = call === 'clone3' ? /^ENOSYS$/ : /^(EPERM|ENOSYS)$/
        expect(await world().mallory.syscall(call, ...args)).toMatch(expected)
      })

    it.runIf(isX64).each([
      ['socketcall, whose arguments no filter sees', 'socketcall'],
      ['socket, as 32-bit programs ask for it', 'socket'],
    ] as const)('AF_VSOCK by a 32-bit program: %s', async (_, by) => {
      const { mallory } = world()
      const run = async (family: number) => {
        const program = socketProgram(by, family).toString('hex')
        const file = `/tmp/${by}-${family}`
        return mallory.shell(
          `perl -e 'open F, ">", "${file}"; print F pack "H*", "${program}"; close F; chmod 0755, "${file}"'; ${file}; echo $?`,
        )
      }
      // EPERM or ENOSYS. A kernel without 32-bit programs does not start it: 126 or 127 of the shell.
      expect(await run(AF_VSOCK)).toMatch(/(^|\n)(1|38|126|127)$/)
    })

    it.runIf(isX64)('calls by the numbers of x32 programs', async () => {
      const x32 = 0x40000000
      const { mallory } = world()
      for (const number of [165, 272, 425])
        expect(await mallory.attempt(`syscall(${x32 | number}, 0, 0, 0, 0, 0)`)).toMatch(/^(EPERM|ENOSYS)$/)
    })

    it('mknod, of a disk', async () => {
      const [blockDevice, disk] = [0o60666, 0x800]
      expect(await world().mallory.syscall('mknodat', -100, '"/workspace/disk"', blockDevice, disk)).toBe(
        'EPERM',
      )
    })

    it.each(STEERING)('%s, for writing', async (file) => {
      expect(await world().mallory.attempt(`open(F, ">", "${file}") && print(F "1\\n") && close F`)).toMatch(
        /^(EROFS|EACCES|EPERM|ENOENT)$/,
      )
    })

    it.each(TELLING)('%s, for reading', async (file) => {
      const { mallory } = world()
      // The engine covers some by an empty file, which can be opened.
      const read = `open(F, "<", "${file}") or return undef; sysread(F, $bytes, 1) or do { $! ||= 2; undef }`
      expect(await mallory.attempt(read)).toMatch(/^(EACCES|EPERM|ENOENT|ENXIO)$/)
    })

    it.each([
      [
        'less to fear from the killer of an exhausted machine',
        'open(F, ">", "/proc/self/oom_score_adj"); print F "-900"; close F',
      ],
      ['more priority than others', 'setpriority(0, 0, -5) || undef'],
    ])('%s', async (_, expression) => {
      expect(await world().mallory.attempt(expression)).toMatch(/^(EPERM|EACCES)$/)
    })

    it('the cgroups it is in', async () => {
      const writable = await world().mallory.shell(
        'for file in /sys/fs/cgroup/* /sys/fs/cgroup/*/*; do [ ! -f $file ] || [ ! -w $file ] || echo $file; done',
      )
      expect(writable).toBe('')
    })

    it('any device but the harmless ones', async () => {
      const harmless =
        /^(console|core|fd|full|mqueue|null|ptmx|pts|random|shm|stderr|stdin|stdout|tty|urandom|zero)$/
      const devices = (await world().mallory.shell('ls /dev')).split(/\s+/)
      expect(devices.filter((device) => !harmless.test(device))).toEqual([])
    })
  })
}
