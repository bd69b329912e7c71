import { once } from 'node:events'
import { createServer } from 'node:http'
import Docker from 'dockerode'
import { describe, expect, it, onTestFinished } from 'vitest'
import { Engine } from '../../src/docker/engine.js'
import { Networks } from '../../src/docker/networks.js'
import { isTenantBoxError } from '../../src/errors.js'
import { LABELS } from '../../src/identity.js'
import { listenOnSocket } from './engine-proxy.js'
import { engine, failure, makeWorld, shell, specOf, useToolImage } from './world.js'

const image = useToolImage()

/** A server that answers one line to whoever connects, on every address of its machine. */
const SERVER =
  'socket(S, 2, 1, 0) and bind(S, pack("S n x12", 2, 8080)) and listen(S, 9) or die; while (accept(C, S)) { print C "hello"; close C }'

describe("network: 'internet'", () => {
  it('is one labelled bridge for the pool, on which boxes cannot reach each other, and goes with the last box', async () => {
    const { driver, box, pool } = await makeWorld()
    const refs = await Promise.all(
      ['a', 'b'].map((tenant) => box(tenant, specOf(image, { network: 'internet' }))),
    )
    const [network, ...more] = await engine.listNetworks({
      filters: { label: [`${LABELS.pool}=${pool.name}`] },
    })
    expect(more).toEqual([])
    expect(network).toMatchObject({
      Name: `tbx-${pool.name}`,
      Driver: 'bridge',
      Labels: { [LABELS.owner]: pool.owner },
    })
    expect(network?.Options?.['com.docker.network.bridge.enable_icc']).toBe('false')
    for (const ref of refs) await driver.start(ref)
    expect((await shell(driver, refs[0] ?? expect.fail(), 'cat /proc/net/dev')).stdout).toContain('eth0')
    await driver.close()
    expect(await engine.listNetworks({ filters: { label: [`${LABELS.pool}=${pool.name}`] } })).toHaveLength(1)
    await driver.open(pool)
  })

  it('is FOREIGN_BOX when somebody else has a network of that name', async () => {
    const { box, pool } = await makeWorld()
    const name = `tbx-${pool.name}`
    const foreign = await engine.createNetwork({ Name: name, Labels: { [LABELS.pool]: pool.name } })
    try {
      const error = await failure(box('ann', specOf(image, { network: 'internet' })))
      expect(isTenantBoxError(error, 'FOREIGN_BOX') && error.details.box).toBe(name)
    } finally {
      await foreign.remove()
    }
  })
})

describe('an engine that cannot make bridges', () => {
  it('is START_FAILED, with its reason and what to do', async () => {
    const server = createServer((request, response) => {
      const made = request.method === 'POST'
      response.writeHead(made ? 500 : 404, { 'content-type': 'application/json' })
      response.end(JSON.stringify({ message: made ? 'iptables: command not found' : 'no such network' }))
    })
    onTestFinished(() => server.closeAllConnections())
    const client = new Docker({ socketPath: await listenOnSocket(server) })
    const networks = new Networks(new Engine(client, true, 5_000), { name: 'p', owner: 'o', dataDir: '/' })
    const error = await failure(networks.prepare(specOf(image, { network: 'internet' }), {}))
    expect(isTenantBoxError(error, 'START_FAILED') && error.details.phase).toBe('create')
    expect(String(error)).toContain('iptables: command not found')
    expect(String(error)).toContain("network: 'none'")
  })
})

describe('network: { name }', () => {
  it('joins a network of the engine', async () => {
    const { driver, box, pool } = await makeWorld()
    const own = await engine.createNetwork({ Name: `own-${pool.name}`, Internal: true })
    try {
      const ref = await box('ann', specOf(image, { network: { name: `own-${pool.name}` } }))
      await driver.start(ref)
      expect((await shell(driver, ref, 'cat /proc/net/dev')).stdout).toContain('eth0')
      await driver.remove(ref)
    } finally {
      await own.remove()
    }
  })

  it('is START_FAILED when there is none, and never the host or another container', async () => {
    const { box } = await makeWorld()
    const missing = await failure(box('ann', specOf(image, { network: { name: 'no-such-network' } })))
    expect(isTenantBoxError(missing, 'START_FAILED') && missing.details.phase).toBe('create')
    for (const name of ['host', 'none', 'default', 'container:abc', 'ns:/proc/1/ns/net', '../x'])
      expect(
        isTenantBoxError(await failure(box('ann', specOf(image, { network: { name } }))), 'INVALID_OPTION'),
      ).toBe(true)
  })
})

describe('transport: { port }', () => {
  it('publishes on 127.0.0.1 only, reaches the agent there, and sets its environment', async () => {
    const { driver, box } = await makeWorld()
    const command = ['/bin/perl', '-e', `$| = 1; print "$ENV{TENANTBOX_PORT}\\n"; ${SERVER}`]
    const ref = await box('ann', specOf(image, { command, transport: { port: 8080 } }))
    await driver.start(ref)
    for await (const { text } of driver.logs(ref, { follow: true })) {
      expect(text).toBe('8080')
      break
    }
    const { NetworkSettings } = await engine.getContainer(ref.id).inspect()
    expect(NetworkSettings.Ports['8080/tcp']?.map(({ HostIp }) => HostIp)).toEqual(['127.0.0.1'])
    const answer = await expect.poll(async () => {
      const connection = await driver.dial(ref, { port: 8080 })
      const [first] = await once(connection, 'data')
      connection.destroy()
      return String(first)
    })
    await answer.toBe('hello')
    expect(isTenantBoxError(await failure(driver.dial(ref, { port: 8081 })), 'START_FAILED')).toBe(true)
  })
})

describe("transport: 'socket'", () => {
  it('dials the socket in the run folder, and follows nothing that the tenant put in its place', async () => {
    const { driver, box } = await makeWorld()
    const listen = `socket(S, 1, 1, 0) and bind(S, pack("S a*", 1, "$ENV{TENANTBOX_SOCKET}\\0")) and listen(S, 9) or die`
    const command = [
      '/bin/perl',
      '-e',
      `$| = 1; ${listen}; print "up\\n"; while (accept(C, S)) { print C "hello"; close C }`,
    ]
    const ref = await box('ann', specOf(image, { command }))
    await driver.start(ref)
    for await (const { text } of driver.logs(ref, { follow: true })) if (text === 'up') break
    const connection = await driver.dial(ref)
    const [first] = await once(connection, 'data')
    expect(String(first)).toBe('hello')
    connection.destroy()
    await shell(
      driver,
      ref,
      `cd /run/tenantbox; perl -e 'unlink "agent.sock"; symlink "/var/run/docker.sock", "agent.sock"'`,
    )
    await expect(driver.dial(ref)).rejects.toMatchObject({ code: 'ENOTSOCK' })
  })
})
