/**
 * The system calls a box may make, by subject: what Docker's own default profile allows a container that has no
 * capabilities, minus what tenants have no use for and kernels have been broken through. It goes along with every box
 * because older engines leave AF_VSOCK (before 23.0) and io_uring (before 25.0) open, even to a box with no network.
 *
 * Denied beyond that default: sockets of all but the families below, so AF_VSOCK (reaches the hypervisor) and AF_ALG
 * (CVE-2026-31431) too; `socketcall`, the 32-bit way around that; and `io_uring_*`, whose work no filter sees. Names
 * that the machine's architecture or libseccomp does not have are skipped by the runtime. No rule depends on
 * capabilities, as boxes have none; who adds some by `hostConfig` names a profile of their own in its `SecurityOpt`.
 */
const ALLOWED = {
  files: `access chdir chmod chown chown32 close close_range copy_file_range creat dup dup2 dup3 faccessat faccessat2
    fadvise64 fadvise64_64 fallocate fanotify_mark fchdir fchmod fchmodat fchmodat2 fchown fchown32 fchownat fcntl
    fcntl64 fdatasync flock fstat fstat64 fstatat64 fstatfs fstatfs64 fsync ftruncate ftruncate64 futimesat getcwd
    getdents getdents64 inotify_add_watch inotify_init inotify_init1 inotify_rm_watch ioctl lchown lchown32 link linkat
    _llseek lseek lstat lstat64 mkdir mkdirat mknod mknodat name_to_handle_at newfstatat open openat openat2 readahead
    readlink readlinkat rename renameat renameat2 rmdir stat stat64 statfs statfs64 statx symlink symlinkat sync
    sync_file_range syncfs truncate truncate64 umask unlink unlinkat utime utimensat utimensat_time64 utimes`,
  attributes: `fgetxattr flistxattr fremovexattr fsetxattr getxattr getxattrat lgetxattr listxattr listxattrat
    llistxattr lremovexattr lsetxattr removexattr removexattrat setxattr setxattrat`,
  input: `cachestat io_cancel io_destroy io_getevents io_pgetevents io_pgetevents_time64 io_setup io_submit pipe pipe2
    pread64 preadv preadv2 pwrite64 pwritev pwritev2 read readv sendfile sendfile64 splice tee vmsplice write writev`,
  waiting: `epoll_create epoll_create1 epoll_ctl epoll_ctl_old epoll_pwait epoll_pwait2 epoll_wait epoll_wait_old
    eventfd eventfd2 _newselect poll ppoll ppoll_time64 pselect6 pselect6_time64 select`,
  memory: `brk madvise map_shadow_stack membarrier memfd_create memfd_secret mincore mlock mlock2 mlockall
    mmap mmap2 mprotect mremap mseal msync munlock munlockall munmap pkey_alloc pkey_free pkey_mprotect
    remap_file_pages`,
  processes: `capget capset execve execveat exit exit_group fork getpgid getpgrp getpid getppid getpriority getrlimit
    getrusage getsid gettid ioprio_get ioprio_set kill pidfd_open pidfd_send_signal prctl prlimit64 process_mrelease
    setpgid setpriority setrlimit setsid tgkill times tkill ugetrlimit vfork wait4 waitid waitpid`,
  threads: `arch_prctl futex futex_requeue futex_time64 futex_wait futex_waitv futex_wake get_robust_list
    get_thread_area modify_ldt rseq set_robust_list set_thread_area set_tid_address`,
  scheduling: `getcpu sched_getaffinity sched_getattr sched_getparam sched_get_priority_max sched_get_priority_min
    sched_getscheduler sched_rr_get_interval sched_rr_get_interval_time64 sched_setaffinity sched_setattr
    sched_setparam sched_setscheduler sched_yield`,
  identity: `getegid getegid32 geteuid geteuid32 getgid getgid32 getgroups getgroups32 getresgid getresgid32 getresuid
    getresuid32 getuid getuid32 setfsgid setfsgid32 setfsuid setfsuid32 setgid setgid32 setgroups setgroups32 setregid
    setregid32 setresgid setresgid32 setresuid setresuid32 setreuid setreuid32 setuid setuid32`,
  signals: `pause restart_syscall rt_sigaction rt_sigpending rt_sigprocmask rt_sigqueueinfo rt_sigreturn rt_sigsuspend
    rt_sigtimedwait rt_sigtimedwait_time64 rt_tgsigqueueinfo sigaltstack signalfd signalfd4 sigprocmask sigreturn`,
  time: `adjtimex alarm clock_adjtime clock_adjtime64 clock_getres clock_getres_time64 clock_gettime clock_gettime64
    clock_nanosleep clock_nanosleep_time64 getitimer gettimeofday nanosleep setitimer time timer_create timer_delete
    timer_getoverrun timer_gettime timer_gettime64 timer_settime timer_settime64 timerfd_create timerfd_gettime
    timerfd_gettime64 timerfd_settime timerfd_settime64`,
  sockets: `accept accept4 bind connect getpeername getsockname getsockopt listen recv recvfrom recvmmsg
    recvmmsg_time64 recvmsg send sendmmsg sendmsg sendto setsockopt shutdown socketpair`,
  messages: `ipc mq_getsetattr mq_notify mq_open mq_timedreceive mq_timedreceive_time64 mq_timedsend
    mq_timedsend_time64 mq_unlink msgctl msgget msgrcv msgsnd semctl semget semop semtimedop semtimedop_time64 shmat
    shmctl shmdt shmget`,
  sandboxing: 'landlock_add_rule landlock_create_ruleset landlock_restrict_self seccomp',
  system: `getrandom riscv_flush_icache riscv_hwprobe s390_pci_mmio_read s390_pci_mmio_write s390_runtime_instr
    swapcontext sync_file_range2 sysinfo uname`,
  arm: 'arm_fadvise64_64 arm_sync_file_range breakpoint cacheflush set_tls',
} as const

const ARCHITECTURES = [
  { architecture: 'SCMP_ARCH_X86_64', subArchitectures: ['SCMP_ARCH_X86', 'SCMP_ARCH_X32'] },
  { architecture: 'SCMP_ARCH_AARCH64', subArchitectures: ['SCMP_ARCH_ARM'] },
  { architecture: 'SCMP_ARCH_S390X', subArchitectures: ['SCMP_ARCH_S390'] },
  { architecture: 'SCMP_ARCH_RISCV64', subArchitectures: [] },
] as const

/** AF_UNIX, AF_INET, AF_INET6 and AF_NETLINK, by which a program learns its own addresses. */
const SOCKET_FAMILIES = [1, 2, 10, 16] as const
/** CLONE_NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID and NEWNET: no namespaces of a tenant's own. */
const NEW_NAMESPACES = 0x7e020000
/** What `personality` may be set to: Linux, UNAME26, PER_LINUX32 and both, or merely read. */
const PERSONALITIES = [0x0, 0x8, 0x20000, 0x20008, 0xffffffff] as const
const ENOSYS = 38

/** The profile in the form the engine takes inline: it picks the architecture and checks the kernel itself. */
export function seccompProfile(): string {
  const s390 = { arches: ['s390', 's390x'] }
  return JSON.stringify({
    defaultAction: 'SCMP_ACT_ERRNO',
    defaultErrnoRet: 1,
    archMap: ARCHITECTURES,
    syscalls: [
      allow(Object.values(ALLOWED).flatMap((names) => names.split(/\s+/))),
      ...SOCKET_FAMILIES.map((family) => allow(['socket'], { index: 0, value: family, op: 'SCMP_CMP_EQ' })),
      ...PERSONALITIES.map((value) => allow(['personality'], { index: 0, value, op: 'SCMP_CMP_EQ' })),
      // Before 4.8 a tracer could change a call after this filter had let it pass.
      { ...allow(['process_vm_readv', 'process_vm_writev', 'ptrace']), includes: { minKernel: '4.8' } },
      { ...allow(['clone'], noNamespaces(0)), excludes: s390 },
      { ...allow(['clone'], noNamespaces(1)), includes: s390 },
      // What they are asked for is behind a pointer, out of a filter's sight: "not implemented" makes libc fall back to
      // clone and socket. Left out, libseccomp would allow all of socketcall for the families allowed above.
      { action: 'SCMP_ACT_ERRNO', errnoRet: ENOSYS, names: ['clone3', 'socketcall'] },
    ],
  })
}

interface ArgumentCondition {
  readonly index: number
  readonly value: number
  readonly valueTwo?: number
  readonly op: string
}

function allow(names: readonly string[], ...args: ArgumentCondition[]) {
  return { action: 'SCMP_ACT_ALLOW', names, args }
}

function noNamespaces(index: number): ArgumentCondition {
  return { index, value: NEW_NAMESPACES, valueTwo: 0, op: 'SCMP_CMP_MASKED_EQ' }
}
