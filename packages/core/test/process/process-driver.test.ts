import { randomUUID } from 'node:crypto'
import { mkdir, mkdtemp, readFile, realpath } from 'node:fs/promises'
import { createServer, get } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Duplex } from 'node:stream'
import { text } from 'node:stream/consumers'
import { processDriver } from '@tenantbox/core/process'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { deleteTree } from '../../src/delete-tree.js'
import type { BoxRef, ResolvedBoxSpec } from '../../src/driver.js'
import { freshen } from '../../src/freshen.js'
import { TenantDirs } from '../../src/tenant-dirs.js'
import { listenUnixSocket } from '../../src/unix-socket.js'
import { all, SPEC } from '../testing/fixtures.js'
import { eventually, processesOf, processesRunning, WITHOUT_ENVIRONMENT } from './processes.js'

/** Answers every request with what the expression says. */
function answering(expression: string): readonly string[] {
  const script = `
    const answer = async (request) => ${expression}
    const { createServer, get } = require('node:http')
    createServer(async (request, response) => response.end(String(await answer(request))))
      .listen(process.env.TENANTBOX_SOCKET ?? { port: process.env.TENANTBOX_PORT, host: '127.0.0.1' })`
  return [process.execPath, '-e', script]
}

let temporary: string
let dataDir: string
let driver: ReturnType<typeof processDriver>

beforeEach(async () => {
  temporary = await realpath(await mkdtemp(join(tmpdir(), 'tenantbox-process-')))
  dataDir = temporary
  driver = processDriver()
})

afterEach(async () => {
  vi.unstubAllEnvs()
  const left = await driver.list().catch(() => [])
  for (const { ref } of left) await driver.remove(ref)
  await driver.close()
  await deleteTree(temporary)
})

async function open(): Promise<void> {
  await driver.open({ name: 'pool', owner: temporary, dataDir })
}

async function started(tenant: string, spec: Partial<ResolvedBoxSpec>): Promise<BoxRef> {
  const dirs = new TenantDirs(dataDir)
  await dirs.lockPath()
  await dirs.ensure(tenant, tenant, undefined)
  await freshen(dirs.folders(tenant), { token: 'a secret' }, undefined)
  const ref = await driver.create({ tenant, slug: tenant, spec: 'spec-1' }, { ...SPEC, ...spec })
  await driver.start(ref)
  return ref
}

/** What the agent answers, once it does. */
async function asked(ref: BoxRef, port?: number): Promise<string> {
  let connection: Duplex | undefined
  await eventually(async () => {
    connection = await driver.dial(ref, { port }).catch(() => undefined)
    return connection !== undefined
  })
  const open = connection as Duplex
  return new Promise((resolve, reject) => {
    get({ createConnection: () => open, headers: { connection: 'close' } }, (response) =>
      resolve(text(response)),
    ).once('error', reject)
  })
}

describe('processDriver', () => {
  it('is refused in production, unless that is allowed', () => {
    vi.stubEnv('NODE_ENV', 'production')
    expect(() => processDriver()).toThrow(expect.objectContaining({ code: 'INVALID_OPTION' }))
    expect(() => processDriver({ allowUnisolated: false })).toThrow('isolates nothing')
    expect(processDriver({ allowUnisolated: true }).supports.isolation).toBe('none')
  })

  it('refuses options that it does not have', () => {
    for (const options of [{ allowUnisolated: 'yes' }, { isolated: true }])
      expect(() => processDriver(options as never)).toThrow(
        expect.objectContaining({ code: 'INVALID_OPTION' }),
      )
    expect(processDriver({ allowUnisolated: undefined }).name).toBe('process')
  })

  it('says once, on stderr, that it isolates nothing, and warns of it', async () => {
    const written = vi.spyOn(process.stderr, 'write').mockReturnValue(true)
    try {
      const report = await driver.open({ name: 'pool', owner: temporary, dataDir })
      await driver.close()
      await open()
      expect(report.warnings).toMatchObject([{ code: 'UNISOLATED' }])
      expect(written.mock.calls.filter(([said]) => String(said).includes('isolates nothing'))).toHaveLength(1)
    } finally {
      written.mockRestore()
    }
  })

  it('gives a box its own environment, and of the host’s only the PATH', async () => {
    vi.stubEnv('API_KEY', 'of the host')
    await open()
    const ref = await started('ann', {
      command: answering('JSON.stringify({ env: process.env, cwd: process.cwd() })'),
      env: { LANGUAGE: 'en', TENANTBOX_GATEWAY: 'not this one' },
    })
    const { env, cwd } = JSON.parse(await asked(ref))
    const root = join(dataDir, 'ann')
    expect(cwd).toBe(join(root, 'workspace'))
    expect(env).toEqual({
      PATH: process.env.PATH,
      LANGUAGE: 'en',
      HOME: join(root, 'workspace'),
      TENANTBOX_SOCKET: join(root, 'run', 'agent.sock'),
      TENANTBOX_GATEWAY: join(root, 'gateway', 'gateway.sock'),
      TENANTBOX_SECRETS: join(root, 'secrets'),
      TENANTBOX_MARK: expect.stringContaining(ref.id),
    })
  })

  it('gives secrets as files, which only their owner reads', async () => {
    await open()
    const ref = await started('ann', { command: ['sleep', '600'] })
    const command = ['sh', '-c', 'cat "$TENANTBOX_SECRETS/token"; stat -c " %a" "$TENANTBOX_SECRETS"']
    await using cat = await driver.spawn(ref, { command })
    expect(await text(cat.stdout)).toBe('a secret 500\n')
  })

  it('lets agents listen, and reach the gateway, however deep the folders are', async () => {
    dataDir = join(temporary, 'a'.repeat(200), 'b'.repeat(200))
    await mkdir(dataDir, { recursive: true })
    await open()
    const viaGateway = answering(
      `new Promise((resolve) => get({ socketPath: process.env.TENANTBOX_GATEWAY }, (response) => {
        response.setEncoding('utf8').once('data', resolve)
      }))`,
    )
    const refs = [
      await started('ann', { command: viaGateway }),
      await started('bob', { command: viaGateway }),
    ]
    for (const { slug } of refs) {
      const server = createServer((_, response) => response.end(`to ${slug}`))
      await listenUnixSocket(server, new TenantDirs(dataDir).folders(slug).gateway, 'gateway.sock')
      server.unref()
    }
    expect(await Promise.all(refs.map((ref) => asked(ref)))).toEqual(['to ann', 'to bob'])
  })

  it('gives every box a port of its own where the transport is a port', async () => {
    await open()
    const spec = { command: answering('process.env.TENANTBOX_PORT'), transport: { port: 8080 } }
    const ann = await started('ann', spec)
    const bob = await started('bob', spec)
    const ports = [await asked(ann, 8080), await asked(bob, 8080)]
    expect(new Set(ports).size).toBe(2)
    expect(ports).not.toContain('8080')
  })

  it('refuses what a process of the host cannot be given', async () => {
    await open()
    const uid = (process.getuid?.() ?? 0) + 1
    const impossible: readonly [string, Partial<ResolvedBoxSpec>][] = [
      ['box.command', { command: undefined }],
      ['box.mounts', { mounts: [{ host: '/srv', box: '/srv', readOnly: true }] }],
      ['box.user', { user: { uid, gid: uid } }],
      ['box.ready', { healthcheck: true }],
    ]
    for (const [option, change] of impossible) {
      const refused = driver.prepare({ ...SPEC, command: ['true'], ...change })
      await expect(refused).rejects.toMatchObject({ code: 'INVALID_OPTION', details: { option } })
    }
    const ref = await started('ann', { command: ['sleep', '600'] })
    await expect(driver.spawn(ref, { command: ['sh'], tty: true })).rejects.toMatchObject({
      code: 'INVALID_OPTION',
      details: { option: 'tty' },
    })
  })

  it('says what is missing when a box does not start', async () => {
    await open()
    const starting = started('ann', { command: ['/no/such/command'] })
    await expect(starting).rejects.toMatchObject({
      code: 'START_FAILED',
      details: { phase: 'start', code: 127 },
    })
    await expect(starting).rejects.toThrow('/no/such/command')
  })

  it('leaves nothing of a box that stops: children, commands and those in sessions of their own', async () => {
    const hidden = randomUUID()
    await open()
    const ref = await started('ann', {
      command: [
        'sh',
        '-c',
        `sleep 600 & setsid sleep 601 & ${WITHOUT_ENVIRONMENT} & echo up; wait`,
        temporary,
      ],
    })
    for await (const line of driver.logs(ref, { follow: true })) if (line.text === 'up') break
    const command = await driver.spawn(ref, { command: ['sh', '-c', 'sleep 602 & echo begun'] })
    expect(await command.exited).toBe(0)
    // A process that is just becoming another program has no environment for a moment.
    await eventually(async () => (await processesOf(ref.id)).length === 4)
    // All but the one that has left for a session of its own.
    await eventually(async () => (await driver.stats(ref)).pids === 5)
    await driver.stop(ref, { graceMs: 10_000 })
    expect(await processesOf(ref.id)).toEqual([])
    await eventually(async () => (await processesRunning(hidden)).length === 0)
  })

  it('has all that a box said, once it is known to have stopped', async () => {
    await open()
    const ref = await started('ann', { command: ['seq', '5000'] })
    await eventually(async () => (await driver.inspect(ref))?.state === 'stopped')
    const lines = await all(driver.logs(ref))
    expect([lines.length, lines.at(-1)?.text]).toEqual([5_000, '5000'])
  })

  it('ends what is left of a box whose own process ends by itself', async () => {
    await open()
    const hidden = randomUUID()
    const ref = await started('ann', {
      command: ['sh', '-c', `sleep 600 & ${WITHOUT_ENVIRONMENT} & echo bye; exit 4`, hidden],
    })
    await eventually(async () => (await driver.inspect(ref))?.state === 'stopped')
    expect(await processesOf(ref.id)).toEqual([])
    await eventually(async () => (await processesRunning(hidden)).length === 0)
    expect((await driver.inspect(ref))?.exit).toEqual({ code: 4, oom: false })
    expect(await all(driver.logs(ref))).toMatchObject([{ stream: 'stdout', text: 'bye' }])
  })

  it('pauses all of a box, and stops it while it is', async () => {
    await open()
    const ref = await started('ann', { command: ['sh', '-c', 'sleep 600 & echo up; wait'] })
    for await (const line of driver.logs(ref, { follow: true })) if (line.text === 'up') break
    const command = await driver.spawn(ref, { command: ['sleep', '601'] })
    await driver.pause(ref)
    await eventually(async () => (await statesOf(ref)).join('') === 'TTT')
    await expect(driver.spawn(ref, { command: ['true'] })).rejects.toMatchObject({ code: 'START_FAILED' })
    await driver.stop(ref, { graceMs: 10_000 })
    expect(await processesOf(ref.id)).toEqual([])
    expect(await command.exited).toBeGreaterThan(128)
  })

  it('stops a box that is just starting', async () => {
    await open()
    const ref = await started('ann', { command: ['sleep', '600'] })
    await driver.stop(ref, { graceMs: 10_000 })
    const starting = driver.start(ref)
    await driver.stop(ref, { graceMs: 10_000 })
    await starting
    expect((await driver.inspect(ref))?.state).toBe('stopped')
    expect(await processesOf(ref.id)).toEqual([])
  })

  it('removes a box that is just starting', async () => {
    await open()
    const ref = await started('ann', { command: ['sleep', '600'] })
    await driver.stop(ref, { graceMs: 10_000 })
    const starting = driver.start(ref)
    await Promise.allSettled([starting, driver.remove(ref)])
    expect(await driver.list()).toEqual([])
    expect(await processesOf(ref.id)).toEqual([])
  })

  it('waits out a removal before it makes a successor', async () => {
    await open()
    const old = await started('ann', { command: ['sleep', '600'] })
    const removing = driver.remove(old)
    const young = await driver.create(
      { tenant: 'ann', slug: 'ann', spec: 'spec-1' },
      { ...SPEC, command: ['true'] },
    )
    await removing
    expect((await driver.list()).map(({ ref }) => ref)).toEqual([young])
    expect(young.id).not.toBe(old.id)
  })

  it('belongs to one pool', async () => {
    await open()
    await driver.close()
    const other = driver.open({ name: 'pool', owner: 'another', dataDir })
    await expect(other).rejects.toMatchObject({ code: 'INVALID_OPTION' })
    await open()
  })
})

/** Of the box's processes, as the kernel tells them: `T` for stopped. */
async function statesOf(ref: BoxRef): Promise<(string | undefined)[]> {
  const pids = await processesOf(ref.id)
  return Promise.all(
    pids.map(async (pid) => /\) (\S) /.exec(await readFile(`/proc/${pid}/stat`, 'utf8'))?.[1]),
  )
}
