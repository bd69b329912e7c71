import assert from 'node:assert/strict'
import type { BoxProcess, SpawnRequest } from '../../driver.js'
import { isTenantBoxError } from '../../errors.js'
import { type ConformanceTest, output, refuses, within } from './bench.js'

/** Processes inside a box. */
export function running(test: ConformanceTest): void {
  test('runs a command, with its input and output', async (bench) => {
    const ref = await bench.running()
    await using cat = await bench.driver.spawn(ref, { command: bench.subject.commands.cat })
    cat.stdin.write('first, ')
    cat.stdin.end('second')
    assert.equal(await output(cat.stdout), 'first, second')
    assert.equal(await within(cat.exited, 'its exit'), 0)
  })

  test('tells the exit code, and stderr from stdout', async (bench) => {
    const ref = await bench.running()
    await using fail = await bench.driver.spawn(ref, { command: bench.subject.commands.fail })
    const [out, err] = await Promise.all([output(fail.stdout), output(fail.stderr)])
    assert.deepEqual([out, err, await fail.exited], ['out\n', 'err\n', 5])
  })

  test('runs a command where it was told to, with the environment it was given', async (bench) => {
    const ref = await bench.running()
    const request: SpawnRequest = {
      command: bench.subject.commands.where,
      cwd: '/',
      env: { GREETING: 'good day' },
    }
    await using where = await bench.driver.spawn(ref, request)
    assert.equal(await output(where.stdout), 'good day\n/\n')
  })

  test('loses nothing of a long output, however slowly it is read', async (bench) => {
    const ref = await bench.running()
    await using flood = await bench.driver.spawn(ref, { command: bench.subject.commands.flood })
    let bytes = 0
    const read = async (): Promise<void> => {
      for await (const chunk of flood.stdout) {
        bytes += chunk.length
        await new Promise(setImmediate)
      }
    }
    await within(read(), 'the end of the output')
    assert.equal(bytes, 1_000_000)
    assert.equal(await flood.exited, 0)
  })

  test('ends a command when told to, and when it is disposed of', async (bench) => {
    const ref = await bench.running()
    const sleep = (): Promise<BoxProcess> =>
      bench.driver.spawn(ref, { command: bench.subject.commands.sleep })
    const killed = await sleep()
    await within(killed.kill(), 'the kill')
    assert.notEqual(await within(killed.exited, 'its exit'), 0)
    await killed.kill()

    const disposed = await sleep()
    await within(disposed[Symbol.asyncDispose](), 'the kill')
    assert.notEqual(await within(disposed.exited, 'its exit'), 0)
    assert.equal((await bench.record(ref)).state, 'running')
  })

  test('ends a command with its box', async (bench) => {
    const ref = await bench.running()
    const sleep = await bench.driver.spawn(ref, { command: bench.subject.commands.sleep })
    const ended = sleep.exited.then(
      (code) => code !== 0,
      () => true,
    )
    await bench.driver.stop(ref, { graceMs: 10_000 })
    assert.equal(await within(ended, 'its end'), true)
  })

  test('says of a missing command that it is', async (bench) => {
    const ref = await bench.running()
    const request = { command: bench.subject.commands.missing }
    try {
      await using missing = await bench.driver.spawn(ref, request)
      assert.ok([126, 127].includes(await within(missing.exited, 'its exit')))
    } catch (error) {
      if (!isTenantBoxError(error, 'START_FAILED')) throw error
    }
  })

  test('runs nothing in a box that is not running', async (bench) => {
    const ref = await bench.create()
    await refuses(bench.driver.spawn(ref, { command: bench.subject.commands.cat }))
  })
}
