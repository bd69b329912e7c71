import { once } from 'node:events'
import { buffer, text } from 'node:stream/consumers'
import type { DockerOptions } from '@tenantbox/core/docker'
import { describe, expect, it } from 'vitest'
import { isTenantBoxError } from '../../src/errors.js'
import {
  clientFromElsewhere,
  clientOfLateCommands,
  failure,
  makeWorld,
  shell,
  specOf,
  useToolImage,
} from './world.js'

const image = useToolImage()

/** In Perl: writes without end, in a process group of its own, so that it is not ended along with its parent. */
const FLOOD = 'setpgrp; $| = 1; print "x" x 10_000 while 1'

async function runningBox(options: DockerOptions = {}) {
  const world = await makeWorld(options)
  const ref = await world.box('ann', specOf(image))
  await world.driver.start(ref)
  return { ...world, ref }
}

describe('a process spawned into a box', () => {
  it('keeps stdout and stderr apart, and tells its exit code', async () => {
    const { driver, ref } = await runningBox()
    expect(await shell(driver, ref, 'echo out; echo err >&2; exit 7')).toEqual({
      stdout: 'out\n',
      stderr: 'err\n',
      code: 7,
    })
  })

  it('gets its folder, its environment and its input, and sees the end of that', async () => {
    const { driver, ref } = await runningBox()
    const command = ['/bin/sh', '-c', 'pwd; echo "$GREETING"; cat']
    const child = await driver.spawn(ref, { command, cwd: '/tmp', env: { GREETING: 'hello' } })
    child.stdin.end('input')
    expect(await text(child.stdout)).toBe('/tmp\nhello\ninput')
    expect(await child.exited).toBe(0)
  })

  it('is in the workspace unless told otherwise, wherever the image begins', async () => {
    const { driver, ref } = await runningBox()
    expect((await shell(driver, ref, 'pwd')).stdout).toBe('/workspace\n')
  })

  it('passes several megabytes through in order, byte by byte', async () => {
    const { driver, ref } = await runningBox()
    const child = await driver.spawn(ref, { command: ['/bin/cat'] })
    const input = Buffer.alloc(5 * 1024 ** 2, 'the quick brown fox\n')
    child.stdin.end(input)
    const output: Buffer[] = []
    for await (const chunk of child.stdout) output.push(chunk as Buffer)
    expect(Buffer.concat(output).equals(input)).toBe(true)
    expect(await child.exited).toBe(0)
  })

  it('is ended also when it was told to before the engine has it run', async () => {
    const { driver, ref } = await runningBox({ client: clientOfLateCommands() })
    const child = await driver.spawn(ref, { command: ['/bin/sleep', '1000'] })
    await child.kill()
    expect(await child.exited).not.toBe(0)
  })

  it('waits while nobody reads its output', async () => {
    const { driver, ref } = await runningBox()
    const script =
      '$| = 1; for (1..2000) { print "x" x 10_000; open F, ">", "/tmp/written"; print F $_; close F }'
    const child = await driver.spawn(ref, { command: ['/bin/perl', '-e', script] })
    await once(child.stdout, 'readable')
    let seen = ''
    let before: string
    do {
      before = seen
      seen = (await shell(driver, ref, 'sleep 0.3; cat /tmp/written')).stdout
    } while (seen !== before)
    expect(Number(seen)).toBeLessThan(1_500)
    expect((await text(child.stdout)).length).toBe(2_000 * 10_000)
    expect(await child.exited).toBe(0)
  })

  it('has a terminal of the asked size when it is to, and hears of a new one', async () => {
    const { driver, ref } = await runningBox()
    // TIOCGWINSZ: rows and columns of the terminal.
    const size =
      'sub size { ioctl(STDIN, 0x5413, my $s = "\\0" x 8) or return "none"; join "x", (unpack "S4", $s)[0, 1] }'
    const script = `$| = 1; ${size} $SIG{WINCH} = sub { print size(), ";"; exit 0 if size() eq "30x90" }; print size(), ";"; sleep 1 while 1`
    const child = await driver.spawn(ref, {
      command: ['/bin/perl', '-e', script],
      tty: { columns: 100, rows: 40 },
    })
    let output = ''
    for await (const chunk of child.stdout) {
      output += String(chunk)
      if (output.endsWith('40x100;')) await child.resize?.(90, 30)
    }
    expect(output).toMatch(/40x100;30x90;$/)
    expect(await child.exited).toBe(0)
  })

  it('tells of a command that the image lacks by its exit code', async () => {
    const { driver, ref } = await runningBox()
    const child = await driver.spawn(ref, { command: ['/bin/no-such-command'] })
    child.stdout.resume()
    child.stderr.resume()
    expect([126, 127]).toContain(await child.exited)
  })

  it('is refused by a box that does not run', async () => {
    const { driver, ref } = await runningBox()
    await driver.stop(ref, { graceMs: 1_000 })
    expect(
      isTenantBoxError(await failure(driver.spawn(ref, { command: ['/bin/cat'] })), 'START_FAILED'),
    ).toBe(true)
  })

  it('ends with its box', async () => {
    const { driver, ref } = await runningBox()
    const child = await driver.spawn(ref, { command: ['/bin/sh', '-c', 'echo up; exec sleep 1000'] })
    await once(child.stdout, 'data')
    await driver.stop(ref, { graceMs: 1_000 })
    expect(await child.exited).toBe(137)
  })
})

describe('ending a spawned process', () => {
  const sleepers = 'grep -lsa "^sleep.100[0-9]" /proc/[0-9]*/cmdline | grep -c . || :'

  it('really ends it, with what it started', async () => {
    const { driver, ref } = await runningBox()
    const child = await driver.spawn(ref, {
      command: ['/bin/sh', '-c', 'sleep 1001 & sleep 1002 & echo up; wait'],
    })
    await once(child.stdout, 'data')
    expect((await shell(driver, ref, sleepers)).stdout.trim()).toBe('2')
    await child.kill()
    expect(await child.exited).toBe(137)
    expect((await shell(driver, ref, sleepers)).stdout.trim()).toBe('0')
    await child.kill()
  })

  it('waits for nobody to read what it wrote', async () => {
    const { driver, ref } = await runningBox()
    const child = await driver.spawn(ref, {
      command: ['/bin/perl', '-e', '$| = 1; print "x" x 10_000 while 1'],
    })
    await once(child.stdout, 'readable')
    await child.kill()
    expect(await child.exited).toBe(137)
  })

  it.each([
    ['is ended', 'exec sleep 1001'],
    ['has ended by itself', 'exit 137'],
  ])('ends its output, though what it started writes on without end, when it %s', async (_, end) => {
    const { driver, ref } = await runningBox()
    const child = await driver.spawn(ref, { command: ['/bin/sh', '-c', `/bin/perl -e '${FLOOD}' & ${end}`] })
    await once(child.stdout, 'readable')
    await child.kill()
    expect(await child.exited).toBe(137)
    const [stdout, stderr] = await Promise.all([buffer(child.stdout), buffer(child.stderr)])
    expect(stdout.length).toBeLessThan(8 * 1024 ** 2)
    expect(stderr.length).toBe(0)
  })

  it('happens when it is disposed of, and when the caller has given up meanwhile', async () => {
    const { driver, ref } = await runningBox()
    const child = await driver.spawn(ref, { command: ['/bin/sh', '-c', 'echo up; exec sleep 1001'] })
    await once(child.stdout, 'data')
    await child[Symbol.asyncDispose]()
    expect(await child.exited).toBe(137)

    const controller = new AbortController()
    const spawned = driver.spawn(ref, { command: ['/bin/sleep', '1001'] }, { signal: controller.signal })
    controller.abort(new Error('given up'))
    expect(String(await failure(spawned))).toContain('given up')
    expect((await shell(driver, ref, sleepers)).stdout.trim()).toBe('0')
  })

  it('also works from inside the box, for an engine on another machine, and though nobody reads', async () => {
    const { driver, ref } = await runningBox({ client: clientFromElsewhere() })
    const child = await driver.spawn(ref, {
      command: ['/bin/sh', '-c', `/bin/perl -e '${FLOOD}' & exec sleep 1001`],
    })
    await once(child.stdout, 'readable')
    await child.kill()
    expect(await child.exited).toBe(137)
    expect((await shell(driver, ref, sleepers)).stdout.trim()).toBe('0')
  })
})
