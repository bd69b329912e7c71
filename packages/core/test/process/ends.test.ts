import { type ChildProcess, spawn } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { mkdir, mkdtemp, readdir, realpath, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { processDriver } from '@tenantbox/core/process'
import { build } from 'tsup'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { deleteTree } from '../../src/delete-tree.js'
import { eventually, processesOf, processesRunning } from './processes.js'

let bundle: string
let dataDir: string
let temporary: string
let owner: string

beforeAll(async () => {
  bundle = await mkdtemp(join(tmpdir(), 'tenantbox-gateway-'))
  await build({
    entry: [fileURLToPath(new URL('./gateway.ts', import.meta.url))],
    outDir: bundle,
    format: 'esm',
    outExtension: () => ({ js: '.mjs' }),
    noExternal: [/./],
    tsconfig: fileURLToPath(new URL('../../../../tsconfig.json', import.meta.url)),
    config: false,
    silent: true,
  })
})

afterAll(() => rm(bundle, { recursive: true }))

beforeEach(async () => {
  temporary = await realpath(await mkdtemp(join(tmpdir(), 'tenantbox-ends-')))
  dataDir = join(temporary, 'deep'.repeat(30))
  await mkdir(dataDir)
  owner = randomUUID()
})

afterEach(async () => {
  const left = await processesOf(owner)
  for (const pid of left) process.kill(pid, 'SIGKILL')
  await deleteTree(temporary)
  expect(left).toEqual([])
})

/** Starts a gateway with three boxes: one with a command running in it, one that is paused. */
async function gateway(...options: readonly 'hiding'[]): Promise<ChildProcess> {
  const child = spawn(process.execPath, [join(bundle, 'gateway.mjs'), dataDir, owner, ...options], {
    env: { PATH: process.env.PATH, TMPDIR: temporary },
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  await once(child.stdout, 'data')
  // Three boxes of a shell and two sleeps each at least, and the command.
  await eventually(async () => (await processesOf(owner)).length >= 3 * 3 + 1)
  return child
}

/** No process of a box, nor gateway or watchdog. */
async function nothingIsLeft(): Promise<boolean> {
  return (await processesOf(owner)).length === 0 && (await processesRunning(owner)).length === 0
}

/** The folders of short symlinks. */
async function shortcuts(): Promise<string[]> {
  return (await readdir(temporary)).filter((name) => name.startsWith('tenantbox-'))
}

describe('boxes of the process driver', () => {
  it('end with a gateway that is killed: paused ones, commands and those in sessions of their own', async () => {
    const child = await gateway('hiding')
    expect(await shortcuts()).toHaveLength(1)
    child.kill('SIGKILL')
    await eventually(nothingIsLeft)
    await eventually(async () => (await shortcuts()).length === 0)
  })

  it('do not keep a gateway from ending that has closed its driver, and end with it', async () => {
    const child = await gateway('hiding')
    child.stdin?.end()
    expect(await once(child, 'exit')).toEqual([0, null])
    await eventually(nothingIsLeft)
    await eventually(async () => (await shortcuts()).length === 0)
  })

  it('are ended by the next gateway when the watchdog was killed as well', async () => {
    const child = await gateway()
    // The arguments of the gateway name the owner, and so do the watchdog's.
    const marked = await processesOf(owner)
    const both = (await processesRunning(owner)).filter((pid) => !marked.includes(pid))
    expect(both).toHaveLength(2)
    for (const pid of both) process.kill(pid, 'SIGKILL')
    await once(child, 'exit')
    expect((await processesOf(owner)).length).toBeGreaterThan(0)
    const driver = processDriver()
    await driver.open({ name: 'pool', owner, dataDir })
    await eventually(nothingIsLeft)
    await driver.close()
  })
})
