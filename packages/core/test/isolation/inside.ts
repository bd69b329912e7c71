import { constants } from 'node:os'
import { expect } from 'vitest'
import type { BoxProcess, TenantPool } from '../../src/index.js'
import { numberOf, type SystemCall } from './syscalls.js'

const ERRORS = new Map(Object.entries(constants.errno).map(([name, number]) => [number, name]))

/** `tried { … }` prints what became of an attempt: `allowed`, or the number of the error. */
const PERL = `
  $| = 1;
  sub tried(&) {
    my ($attempt) = @_; $! = 0;
    my $result = $attempt->();
    print defined $result && $result ne "" && $result != -1 ? "allowed" : "refused " . ($! + 0);
  }
  sub inet { my ($port, @bytes) = @_; pack "S n C4 x8", 2, $port, @bytes }
  sub unix { pack "S a*", 1, $_[0] }
  `

/** In perl: the address of an abstract socket, which has a name and no file. Node fills the name up with zeros. */
export const abstractAddress = (name: string) => `pack("S a108", 1, "\\0${name}")`
export const connectAbstract = (name: string) => `socket(S, 1, 1, 0); connect(S, ${abstractAddress(name)})`

/** Commands run inside a tenant's box, as its agent could run them. */
export class Inside {
  readonly pool: TenantPool
  readonly tenant: string

  constructor(pool: TenantPool, tenant: string) {
    this.pool = pool
    this.tenant = tenant
  }

  run(command: readonly string[], input = '') {
    return this.pool.use(this.tenant, (box) => box.exec(command, { input, timeout: '20s' }))
  }

  /** What a shell command prints; it need not succeed. */
  async shell(script: string): Promise<string> {
    const { stdout, stderr } = await this.run(['/bin/sh', '-c', script])
    return `${stdout}${stderr}`.trim()
  }

  /** What a perl script prints; a script that does not run to its end is no attack. */
  async perl(script: string, program = '/bin/perl'): Promise<string> {
    const { stdout, stderr, exitCode } = await this.run([program, '-e', PERL + script])
    expect(`${stderr}${exitCode}`, script).toBe('0')
    return stdout.trim()
  }

  /** What a JavaScript expression is, which may await. */
  async node(expression: string): Promise<unknown> {
    const script = `console.log(JSON.stringify(await (async () => (${expression}))() ?? null))`
    const { stdout, stderr, exitCode } = await this.run(['/bin/node', '--input-type=module', '-e', script])
    expect(`${stderr}${exitCode}`, expression).toBe('0')
    return JSON.parse(stdout)
  }

  /** Tries what a perl expression does: the name of the error where it is -1, undefined or empty, else `allowed`. */
  async attempt(expression: string): Promise<string> {
    return named(await this.perl(`tried { ${expression} }`))
  }

  /** The same for a system call; it is `ENOSYS` on machines that have no such call. */
  async syscall(call: SystemCall, ...args: readonly (string | number)[]): Promise<string> {
    const number = numberOf(call)
    if (number === undefined) return 'ENOSYS'
    // The kernel could write to any of them, so perl wants no constants.
    return this.attempt(`my @args = (${args.join(', ')}); syscall ${number}, @args`)
  }

  /** Runs a perl script, and leaves its process as it is then for as long as `work` takes. */
  async holding<T>(script: string, work: () => Promise<T>): Promise<T> {
    return this.pool.use(this.tenant, async (box) => {
      const child = await box.spawn([
        '/bin/perl',
        '-e',
        `${PERL}${script}; print "held"; <STDIN>; kill -9, getpgrp`,
      ])
      try {
        await printed(child, 'held')
        return await work()
      } finally {
        child.stdin.end()
        await child.exited
      }
    })
  }
}

function named(outcome: string): string {
  const number = /^refused (\d+)$/.exec(outcome)?.[1]
  return number === undefined ? outcome : (ERRORS.get(Number(number)) ?? number)
}

/** Resolves once the process has written `text`. */
async function printed(child: BoxProcess, text: string): Promise<void> {
  let seen = ''
  let errors = ''
  child.stderr.on('data', (chunk) => {
    errors += chunk
  })
  for await (const chunk of child.stdout.iterator({ destroyOnReturn: false })) {
    seen += chunk
    if (seen.includes(text)) return
  }
  throw new Error(`it ended before it wrote ${text}: ${seen}${errors}`)
}
