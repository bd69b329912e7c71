import { once } from 'node:events'
import Docker from 'dockerode'
import { afterAll, describe, expect, it } from 'vitest'
import { FIREWALL } from './firewall.js'
import { abstractAddress, connectAbstract, type Inside } from './inside.js'
import { givenEngine, local, useIsolation } from './isolation.js'
import {
  furnish,
  HOST,
  HOST_ABSTRACT_SERVICE,
  HOST_LOOPBACK_SERVICE,
  HOST_SERVICE,
  INTERNET,
  METADATA,
} from './neighbourhood.js'
import { startOwnEngine } from './own-engine.js'

const engine = await startOwnEngine('the network modes', { bridges: true, gvisor: false })
if (engine) await furnish(engine)
afterAll(() => engine?.close())

const place = engine?.place() ?? givenEngine

/** What a TCP connection from inside a box comes to: what is said to it, or why there is none. */
function reach(inside: Inside, host: string, port: number): Promise<unknown> {
  return inside.node(`new Promise(async (resolve) => {
    const socket = (await import('node:net')).connect({ host: '${host}', port: ${port}, timeout: 1000 })
    socket.on('timeout', () => { socket.destroy(); resolve('no answer') })
    socket.on('error', ({ code }) => resolve(code)).on('data', (text) => { socket.destroy(); resolve(String(text)) })
  })`)
}

async function addressesOf(inside: Inside): Promise<{ own: string; gateway: string; broadcast: string }> {
  const [eth0] = (await inside.node("(await import('node:os')).networkInterfaces().eth0")) as {
    address: string
    cidr: string
  }[]
  const [a, b] = eth0?.address.split('.') ?? expect.fail('no eth0')
  return { own: eth0?.address ?? '', gateway: `${a}.${b}.0.1`, broadcast: `${a}.${b}.255.255` }
}

describe.runIf(engine)("network: 'none'", () => {
  const world = useIsolation(place)

  it('reaches nothing: there is no route', async () => {
    const { mallory } = world()
    for (const [host, port] of [
      [METADATA.host, METADATA.port],
      [INTERNET.host, INTERNET.port],
      [HOST, HOST_SERVICE],
    ] as const)
      expect(await reach(mallory, host, port)).toBe('ENETUNREACH')
    expect(await reach(mallory, '127.0.0.1', HOST_LOOPBACK_SERVICE)).toBe('ECONNREFUSED')
  })

  it('comes without a warning', async () => {
    expect((await world().pool.start()).warnings).toEqual([])
  })
})

describe.runIf(engine)("network: 'internet'", () => {
  const world = useIsolation(place, { box: { network: 'internet' } })

  it('reaches the internet, under the address of the host', async () => {
    expect(await reach(world().mallory, INTERNET.host, INTERNET.port)).toBe(`internet ${HOST}`)
  })

  it('does not reach another box: not by its address, not by broadcast, not by multicast', async () => {
    const { mallory, victim } = world()
    const { own, broadcast } = await addressesOf(victim)
    const listening = `
      const server = require('node:net').createServer((socket) => socket.end('victim')).listen(9000)
      const datagrams = require('node:dgram').createSocket('udp4').on('message', () => console.log('reached'))
      datagrams.bind(9000, () => { datagrams.addMembership('224.0.0.251'); console.log('ready') })`
    await world().pool.use('victim', async (box) => {
      const child = await box.spawn(['/bin/node', '-e', listening])
      let heard = ''
      child.stdout.on('data', (chunk) => {
        heard += chunk
      })
      await expect.poll(() => heard).toContain('ready')
      expect(await reach(victim, own, 9000)).toBe('victim')
      expect(await reach(mallory, own, 9000)).toBe('no answer')
      await mallory.perl(
        `socket(S, 2, 2, 0); setsockopt(S, 1, 6, pack("i", 1)); for (1..5) { ${[
          own,
          broadcast,
          '255.255.255.255',
          '224.0.0.251',
        ]
          .map((to) => `send(S, "x", 0, inet(9000, ${to.replaceAll('.', ', ')}))`)
          .join('; ')} }`,
      )
      expect(await reach(victim, own, 9000)).toBe('victim')
      await child.kill()
      expect(heard).not.toContain('reached')
    })
  })

  it('has no IPv6, by which a bridge would pass what the rules for IPv4 do not see', async () => {
    expect(await world().mallory.shell('cat /proc/net/if_inet6')).not.toContain('eth0')
  })

  it("does not reach the host's loopback", async () => {
    const { mallory } = world()
    const { gateway } = await addressesOf(mallory)
    expect(await reach(mallory, '127.0.0.1', HOST_LOOPBACK_SERVICE)).toBe('ECONNREFUSED')
    expect(await reach(mallory, gateway, HOST_LOOPBACK_SERVICE)).toBe('ECONNREFUSED')
  })

  it("reaches no abstract socket, which has no file: not the host's, not another box's", async () => {
    const { mallory, victim } = world()
    const ofHost = connectAbstract(HOST_ABSTRACT_SERVICE)
    expect(await engine?.run('perl', '-e', `print "allowed" if do { ${ofHost} }`)).toBe('allowed')
    expect(await mallory.attempt(ofHost)).toBe('ECONNREFUSED')
    const listen = `socket(S, 1, 1, 0); bind(S, ${abstractAddress('victim')}) && listen(S, 5) or die`
    await victim.holding(listen, async () => {
      expect(await victim.attempt(connectAbstract('victim'))).toBe('allowed')
      expect(await mallory.attempt(connectAbstract('victim'))).toBe('ECONNREFUSED')
    })
  })

  it('reaches what else listens on the host, and the metadata service: start() warns of it', async () => {
    const { mallory, pool } = world()
    const { own, gateway } = await addressesOf(mallory)
    expect(await reach(mallory, gateway, HOST_SERVICE)).toBe(`host ${own}`)
    expect(await reach(mallory, METADATA.host, METADATA.port)).toBe(`metadata ${HOST}`)
    const { warnings } = await pool.start()
    expect(warnings.map(({ code }) => code)).toEqual(['NETWORK_REACHES_HOST'])
    expect(warnings[0]?.message).toContain('docs/security.md')
  })

  it('reaches neither behind the rules of docs/security.md, and still the internet', async () => {
    const { mallory } = world()
    const { gateway } = await addressesOf(mallory)
    for (const rule of FIREWALL) await engine?.run(...rule.split(' '))
    try {
      expect(await reach(mallory, gateway, HOST_SERVICE)).toBe('no answer')
      expect(await reach(mallory, HOST, HOST_SERVICE)).toBe('no answer')
      expect(await reach(mallory, METADATA.host, METADATA.port)).toBe('no answer')
      expect(await reach(mallory, INTERNET.host, INTERNET.port)).toBe(`internet ${HOST}`)
    } finally {
      for (const rule of FIREWALL) await engine?.run(...rule.replace(/ -I (\S+)/, ' -D $1').split(' '))
    }
  })

  it("may learn by the engine's name service which boxes of its pool run, and no more", async () => {
    const { mallory, victim, name } = world()
    const { own } = await addressesOf(victim)
    expect(
      await mallory.node(
        `(await import('node:dns/promises')).lookup('tbx-${name}-victim').then(({ address }) => address, ({ code }) => code)`,
      ),
    ).toBe(own)
  })
})

describe.runIf(engine)('transport: { port }, without a network', () => {
  const world = useIsolation(place, { box: { transport: { port: 8080 }, ready: 'started' } })

  it('has no answer from the world outside, and none from another box', async () => {
    const { mallory, victim } = world()
    expect(await reach(mallory, INTERNET.host, INTERNET.port)).toBe('no answer')
    expect(await reach(mallory, METADATA.host, METADATA.port)).toBe('no answer')
    expect(await reach(mallory, (await addressesOf(victim)).own, 8080)).toBe('no answer')
  })

  it('reaches what listens on the host: start() warns of it', async () => {
    const { mallory, pool } = world()
    const { own, gateway } = await addressesOf(mallory)
    expect(await reach(mallory, gateway, HOST_SERVICE)).toBe(`host ${own}`)
    expect((await pool.start()).warnings.map(({ code }) => code)).toEqual(['NETWORK_REACHES_HOST'])
  })
})

describe.runIf(engine)('network: { name }', () => {
  const world = useIsolation(
    async () => {
      const where = await place()
      await new Docker(local(where.socketPath)).createNetwork({
        Name: 'of-the-user',
        Internal: true,
      })
      return where
    },
    { box: { network: { name: 'of-the-user' } } },
  )

  it('is what its maker made it: boxes reach each other, and by an internal network nobody else', async () => {
    const { mallory, victim, pool } = world()
    const { own } = await addressesOf(victim)
    await pool.use('victim', async (box) => {
      const child = await box.spawn([
        '/bin/node',
        '-e',
        'require("node:net").createServer((socket) => socket.end("victim")).listen(9000, () => console.log("ready"))',
      ])
      await once(child.stdout, 'data')
      expect(await reach(mallory, own, 9000)).toBe('victim')
      await child.kill()
    })
    for (const { host, port } of [METADATA, INTERNET])
      expect(await reach(mallory, host, port)).toMatch(/^(ENETUNREACH|no answer)$/)
    expect((await pool.start()).warnings).toEqual([])
  })
})
