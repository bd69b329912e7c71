import { spawnSync } from 'node:child_process'
import { chmod, mkdtemp, rm, stat } from 'node:fs/promises'
import { createServer as createHttpServer } from 'node:http'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { docker } from '@tenantbox/core/docker'
import Docker from 'dockerode'
import { describe, expect, it, onTestFinished } from 'vitest'
import { Containers } from '../../src/docker/containers.js'
import { Engine } from '../../src/docker/engine.js'
import { EngineRefusal, engineFailure, refusalOf } from '../../src/docker/engine-failure.js'
import { jsonLines } from '../../src/docker/json-lines.js'
import { Lifecycle } from '../../src/docker/lifecycle.js'
import { Logs } from '../../src/docker/logs.js'
import { isTenantBoxError, TenantBoxError } from '../../src/errors.js'
import { listenOnSocket, proxyEngine } from './engine-proxy.js'
import { clientRefused, engine, failure, makeWorld, specOf, useToolImage } from './world.js'

const image = useToolImage()
const pool = { name: 'faulty', owner: 'nobody', dataDir: tmpdir() }

async function hintOf(error: unknown): Promise<string> {
  if (!isTenantBoxError(error, 'ENGINE_UNAVAILABLE')) throw error
  expect(error.retryable).toBe(true)
  expect(error.message).toContain(error.details.endpoint)
  return error.details.hint
}

/** An engine that answers every request with this, as JSON. */
function fakeEngine(answers: Record<string, object>): Promise<string> {
  const server = createHttpServer((request, response) => {
    response.setHeader('content-type', 'application/json')
    response.end(JSON.stringify(answers[request.url ?? ''] ?? []))
  })
  onTestFinished(() => server.closeAllConnections())
  return listenOnSocket(server)
}

describe('an engine that cannot be reached', () => {
  it('is told apart by its cause', async () => {
    const absent = docker({ socketPath: '/nonexistent/docker.sock' })
    expect(await hintOf(await failure(absent.open(pool)))).toContain('No engine listens there')
    const folder = await mkdtemp(join(tmpdir(), 'tenantbox-dead-'))
    onTestFinished(() => rm(folder, { recursive: true }))
    const socketPath = join(folder, 'docker.sock')
    // A process that dies leaves its socket behind.
    const listen = `require('net').createServer().listen(process.argv[1], () => process.kill(process.pid, 'SIGKILL'))`
    expect(spawnSync(process.execPath, ['-e', listen, socketPath]).signal).toBe('SIGKILL')
    expect(await hintOf(await failure(docker({ socketPath }).open(pool)))).toContain('Nothing answers there')
    expect(await hintOf(await failure(docker({ host: '127.0.0.1', port: 1 }).open(pool)))).toContain(
      'Nothing answers',
    )
  })

  it('names the group that may use its socket', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'tenantbox-locked-'))
    onTestFinished(() => rm(folder, { recursive: true }))
    await chmod(folder, 0o700)
    const denied = Object.assign(new Error('connect EACCES'), { code: 'EACCES' })
    const error = await engineFailure('answer', denied, { kind: 'socket', address: folder })
    const { gid } = await stat(folder)
    expect(await hintOf(error)).toContain(gid === 0 ? 'the group root' : 'the group')
  })

  it('that accepts and never answers is ENGINE_UNAVAILABLE in time, and never a hang', async () => {
    const sockets = new Set<{ destroy(): void }>()
    const socketPath = await listenOnSocket(createServer((socket) => void sockets.add(socket)))
    onTestFinished(() => sockets.forEach((socket) => void socket.destroy()))
    const hint = await hintOf(await failure(docker({ socketPath, callTimeout: 200 }).open(pool)))
    expect(hint).toContain('hangs')
  })

  it('that begins to hang fails every call in time', async () => {
    const proxy = await proxyEngine()
    const world = await makeWorld()
    const ref = await world.box('ann', specOf(image))
    await world.driver.start(ref)
    const driver = docker({ socketPath: proxy.socketPath, callTimeout: 300 })
    await driver.open(world.pool)
    proxy.hang(true)
    const watching = new AbortController()
    const calls = [
      () => driver.list(),
      () => driver.inspect(ref),
      () => driver.find('ann'),
      () => driver.prepare(specOf(image)),
      () => driver.create({ tenant: 'ann', slug: 'ann', spec: 's' }, specOf(image)),
      () => driver.start(ref),
      () => driver.pause(ref),
      () => driver.resume(ref),
      () => driver.stop(ref, { graceMs: 0 }),
      () => driver.setAside(ref),
      () => driver.restore(ref),
      () => driver.remove(ref),
      () => driver.spawn(ref, { command: ['/bin/cat'] }),
      () => driver.stats(ref),
      () => driver.watch({ signal: watching.signal }),
      async () => {
        for await (const _ of driver.logs(ref)) expect.fail()
      },
    ]
    const errors = await Promise.all(calls.map((call) => failure(Promise.resolve().then<unknown>(call))))
    for (const error of errors) expect(await hintOf(error)).toContain('hangs')
    proxy.cut()
  })

  it('gives a call up with the reason of its signal', async () => {
    const proxy = await proxyEngine()
    const { driver } = await makeWorld({ socketPath: proxy.socketPath })
    const controller = new AbortController()
    proxy.hang(true)
    const listing = failure(driver.list({ signal: controller.signal }))
    controller.abort(new Error('enough'))
    expect(String(await listing)).toContain('enough')
    expect(String(await failure(driver.list({ signal: controller.signal })))).toContain('enough')
    proxy.hang(false)
  })
})

describe('an engine that will not do', () => {
  const version = { Version: '19.03.1', ApiVersion: '1.40' }
  const info = {
    OSType: 'linux',
    OperatingSystem: 'Test',
    DockerRootDir: '/',
    NCPU: 1,
    SecurityOptions: [],
    Runtimes: {},
  }

  it('is UNSUPPORTED_ENGINE when it is too old, or for another system, or lacks the runtime', async () => {
    const old = await fakeEngine({ '/version': version, '/info': info })
    const current = { ...version, ApiVersion: '1.41' }
    const windows = await fakeEngine({ '/version': current, '/info': { ...info, OSType: 'windows' } })
    const errors = [
      await failure(docker({ socketPath: old }).open(pool)),
      await failure(docker({ socketPath: windows }).open(pool)),
      await failure(docker({ runtime: 'no-such-runtime' }).open(pool)),
    ]
    const missing = errors.map(
      (error) => isTenantBoxError(error, 'UNSUPPORTED_ENGINE') && error.details.missing,
    )
    expect(missing).toEqual(['API 1.41', 'Linux containers', 'the runtime no-such-runtime'])
  })

  it('is ENGINE_UNAVAILABLE when what answers is no engine', async () => {
    const server = createHttpServer((_, response) => response.writeHead(404).end('<html>not here</html>'))
    const socketPath = await listenOnSocket(server)
    onTestFinished(() => server.closeAllConnections())
    expect(isTenantBoxError(await failure(docker({ socketPath }).open(pool)), 'ENGINE_UNAVAILABLE')).toBe(
      true,
    )
  })
})

describe('an engine that refuses whatever is asked about a box', () => {
  it('is there: each call fails for that tenant alone, with the words of the engine', async () => {
    let refusing = false
    const client = clientRefused((request) =>
      refusing && /\/(containers|images|exec)\/(?!json)/.test(request)
        ? { status: 500, message: 'layer does not exist' }
        : undefined,
    )
    const { driver, box, pool } = await makeWorld({ client })
    onTestFinished(() => {
      refusing = false
    })
    const ref = await box('Ann', specOf(image))
    await driver.start(ref)
    const child = await driver.spawn(ref, { command: ['/bin/cat'] })
    const identity = { tenant: 'Ann', slug: ref.slug, spec: 's' }
    const calls = [
      () => driver.inspect(ref),
      () => driver.create(identity, specOf('other:1')),
      () => driver.start(ref),
      () => driver.pause(ref),
      () => driver.resume(ref),
      () => driver.stop(ref, { graceMs: 0 }),
      () => driver.setAside(ref),
      () => driver.restore(ref),
      () => driver.remove(ref),
      () => driver.spawn(ref, { command: ['/bin/cat'] }),
      () => driver.stats(ref),
      async () => driver.health?.(ref),
      () => driver.dial(ref, { port: 80 }),
      () => child.kill(),
      async () => child.resize?.(80, 25),
      async () => {
        for await (const _ of driver.logs(ref)) expect.fail()
      },
      async () => {
        for await (const _ of driver.logs(ref, { thisLife: true })) expect.fail()
      },
    ]
    refusing = true
    for (const call of calls) {
      const error = await failure(call())
      if (!isTenantBoxError(error, 'START_FAILED')) throw error
      expect(error.tenant, error.message).toBe('Ann')
      expect(error.message).toContain('layer does not exist')
    }
    // Of these the driver is not told whose they are: the message names them.
    const found = await failure(driver.find(ref.slug))
    expect(isTenantBoxError(found, 'START_FAILED') && found.message).toContain(`tbx-${pool.name}-${ref.slug}`)
    const prepared = await failure(driver.prepare(specOf('other:1')))
    expect(isTenantBoxError(prepared, 'START_FAILED') && prepared.details.phase).toBe('pull')
    expect(await driver.list()).toMatchObject([{ ref, state: 'running', startedAt: 0 }])
    refusing = false
    await child.kill()
  })

  it('is told from one that is away by what it says', () => {
    const failed = (status: number, message: string) =>
      refusalOf(
        new TenantBoxError(
          'ENGINE_UNAVAILABLE',
          message,
          { endpoint: '', hint: '' },
          { cause: new EngineRefusal(status, message) },
        ),
      )?.status
    for (const status of [400, 403, 404, 409, 500]) expect(failed(status, 'busy')).toBe(status)
    for (const status of [502, 503, 504]) expect(failed(status, 'busy')).toBeUndefined()
    expect(failed(500, 'connection error: desc = "connection refused": unavailable')).toBeUndefined()
    expect(failed(500, 'the volume unavailable is unavailable: unknown')).toBe(500)
  })
})

describe('a driver', () => {
  it('answers nothing before open and after close, and opens again', async () => {
    const { driver, pool } = await makeWorld()
    expect(await driver.list()).toEqual([])
    await driver.close()
    await driver.close()
    expect(isTenantBoxError(await failure(driver.list()), 'POOL_CLOSED')).toBe(true)
    await driver.open(pool)
    expect(await driver.list()).toEqual([])
  })

  it('ends what is being read when it is closed', async () => {
    const { driver, pool, box } = await makeWorld()
    const ref = await box('ann', specOf(image))
    await driver.start(ref)
    const drain = async (items: AsyncIterable<unknown>) => {
      for await (const _ of items);
    }
    const events = failure(drain(await driver.watch({ signal: new AbortController().signal })))
    const logs = failure(drain(driver.logs(ref, { follow: true })))
    const child = await driver.spawn(ref, { command: ['/bin/cat'] })
    await driver.close()
    for (const error of [await events, await logs, await failure(child.exited)])
      expect(isTenantBoxError(error, 'POOL_CLOSED')).toBe(true)
    await driver.open(pool)
  })

  it('tidies what a crash left of looking into an image', async () => {
    const { driver, pool, box } = await makeWorld()
    await box('ann', specOf(image))
    const [container] = await engine.listContainers({
      all: true,
      filters: { label: [`dev.tenantbox.owner=${pool.owner}`] },
    })
    const leftover = await engine.createContainer({
      Image: image,
      Cmd: ['-'],
      Labels: {
        'dev.tenantbox.pool': pool.name,
        'dev.tenantbox.owner': pool.owner,
        'dev.tenantbox.purpose': 'read-accounts',
      },
    })
    await driver.close()
    await driver.open(pool)
    const left = await engine.listContainers({
      all: true,
      filters: { label: [`dev.tenantbox.owner=${pool.owner}`] },
    })
    expect(left.map(({ Id }) => Id)).toEqual([container?.Id])
    expect(left.map(({ Id }) => Id)).not.toContain(leftover.id)
  })
})

describe('a name that the engine keeps for a box which it is still making', () => {
  it('is waited for by a box that is to have it', async () => {
    let renames = 0
    const server = createHttpServer((request, response) => {
      const { pathname } = new URL(request.url ?? '', 'http://engine')
      if (pathname === '/containers/old/rename') response.writeHead(++renames > 3 ? 204 : 409).end()
      else if (pathname === '/containers/old/json') response.end('{"Name":"/tbx-faulty-ann.aside"}')
      else response.writeHead(404).end()
    })
    onTestFinished(() => server.closeAllConnections())
    const client = new Docker({ socketPath: await listenOnSocket(server) })
    const containers = new Containers(new Engine(client, true, 5_000), pool)
    const lifecycle = new Lifecycle(containers, new Logs(containers))
    await lifecycle.restore({ id: 'old', tenant: 'ann', slug: 'ann' }, {})
    expect(renames).toBe(4)
  })
})

describe('what comes from the engine', () => {
  it("keeps the engine's refusal apart from its absence", async () => {
    const direct = new Engine(engine, false, 5_000)
    const error = await failure(direct.call('inspect', (client) => client.getContainer('no-such').inspect()))
    expect(refusalOf(error)?.status).toBe(404)
    expect(refusalOf(new Error('other'))).toBeUndefined()
  })

  it('is read line by line, however it is cut, and refused without an end', async () => {
    const bytes = Buffer.from('{"a":"ü"}\n\n{"b":2}\r\n{"c":3}')
    for (let size = 1; size <= bytes.length; size++) {
      const chunks = Array.from({ length: Math.ceil(bytes.length / size) }, (_, index) =>
        bytes.subarray(index * size, (index + 1) * size),
      )
      const values: unknown[] = []
      for await (const value of jsonLines(Readable.from(chunks))) values.push(value)
      expect(values).toEqual([{ a: 'ü' }, { b: 2 }, { c: 3 }])
    }
  })
})
