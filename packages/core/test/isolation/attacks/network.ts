import { execFile } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { createServer } from 'node:net'
import { networkInterfaces } from 'node:os'
import { promisify } from 'node:util'
import { describe, expect, it, onTestFinished } from 'vitest'
import { connectAbstract } from '../inside.js'
import type { Isolation } from '../isolation.js'

const [AF_INET, AF_INET6, AF_NETLINK] = [2, 10, 16]
const [SOCK_STREAM, SOCK_DGRAM, SOCK_RAW] = [1, 2, 3]
/** What a box may open: unix, internet and netlink sockets. */
const ALLOWED_FAMILIES = [1, 2, 10, 16]
const LAST_FAMILY = 46
const UNREACHABLE = /^(ENETUNREACH|EHOSTUNREACH)$/

/** Attempts of a box without a network to reach anybody at all. Nothing is sent: there is no route for it. */
export function networkAttacks(world: () => Isolation): void {
  describe("the network: an attacker's box", () => {
    it('has no interface but its own loopback, and no route', async () => {
      const { mallory } = world()
      const devices = (await mallory.shell('cat /proc/net/dev')).match(/^ *[^\s:|]+:/gm)
      expect(devices?.map((device) => device.trim())).toEqual(['lo:'])
      const routes = (await mallory.shell('cat /proc/net/route')).split('\n').slice(1)
      expect(routes.filter((route) => !route.startsWith('lo'))).toEqual([])
    })

    it.each([
      ['link-local metadata', '169, 254, 169, 254', 80],
      ['a private address', '10, 0, 0, 1', 80],
      ["an engine's usual bridge", '172, 17, 0, 1', 2375],
      ["another box's usual address", '172, 17, 0, 3', 8080],
      ['a public address', '192, 0, 2, 1', 443],
    ])('has no way to %s', async (_, address, port) => {
      const connect = `socket(S, ${AF_INET}, ${SOCK_STREAM}, 0); connect(S, inet(${port}, ${address}))`
      expect(await world().mallory.attempt(connect)).toMatch(UNREACHABLE)
    })

    it('has no way to any address of this machine', async () => {
      const { mallory } = world()
      const addresses = Object.values(networkInterfaces())
        .flatMap((list) => list ?? [])
        .filter(({ family, internal }) => family === 'IPv4' && !internal)
      for (const { address } of addresses) {
        const connect = `socket(S, ${AF_INET}, ${SOCK_STREAM}, 0); connect(S, inet(22, ${address.replaceAll('.', ', ')}))`
        expect(await mallory.attempt(connect), address).toMatch(UNREACHABLE)
      }
    })

    it.each([
      ['broadcast', '255, 255, 255, 255'],
      ['multicast', '224, 0, 0, 1'],
    ])('cannot reach others by %s', async (_, address) => {
      const broadcast = 'setsockopt(S, 1, 6, pack("i", 1))'
      const send = `socket(S, ${AF_INET}, ${SOCK_DGRAM}, 0); ${broadcast}; send(S, "x", 0, inet(9, ${address}))`
      expect(await world().mallory.attempt(send)).toMatch(UNREACHABLE)
    })

    it.each([
      ['all nodes of a link', 'ff02', '1'],
      ['a link-local neighbour', 'fe80', '1'],
      ['a global address', '2001', '1'],
    ])('has no IPv6 way to %s', async (_, prefix, host) => {
      const address = `pack("S n N H32 N", ${AF_INET6}, 9, 0, "${prefix.padEnd(31, '0')}${host}", 0)`
      const send = `socket(S, ${AF_INET6}, ${SOCK_DGRAM}, 0) or return undef; send(S, "x", 0, ${address})`
      expect(await world().mallory.attempt(send)).toMatch(
        /^(ENETUNREACH|EHOSTUNREACH|EADDRNOTAVAIL|EAFNOSUPPORT|EINVAL)$/,
      )
    })

    it("cannot connect to what listens on the host's loopback", async () => {
      const server = createServer((socket) => socket.end('reached')).listen(0, '127.0.0.1')
      await once(server, 'listening')
      onTestFinished(() => void server.close())
      const { port } = server.address() as { port: number }
      const connect = `socket(S, ${AF_INET}, ${SOCK_STREAM}, 0); connect(S, inet(${port}, 127, 0, 0, 1))`
      expect(await world().mallory.attempt(connect)).toBe('ECONNREFUSED')
    })

    it("cannot connect to the host's abstract sockets, which have no file", async () => {
      const name = `tenantbox-${randomUUID()}`
      const server = createServer((socket) => socket.destroy()).listen(`\0${name}`)
      await once(server, 'listening')
      onTestFinished(() => void server.close())
      const connect = connectAbstract(name)
      const asHost = promisify(execFile)('perl', ['-e', `print "allowed" if do { ${connect} }`])
      expect((await asHost).stdout).toBe('allowed')
      expect(await world().mallory.attempt(connect)).toBe('ECONNREFUSED')
    })

    it('resolves no name: not of other boxes, not of the host', async () => {
      const { mallory, name } = world()
      for (const host of [`tbx-${name}-victim`, 'victim', 'host.docker.internal', 'gateway.docker.internal'])
        expect(
          await mallory.node(
            `(await import('node:dns/promises')).lookup('${host}').then(() => 'found', ({ code }) => code)`,
          ),
        ).toMatch(/^(ENOTFOUND|EAI_AGAIN)$/)
    })

    it('may open no socket of any family but unix, internet and netlink', async () => {
      const { mallory } = world()
      const outcomes = await mallory.perl(
        `for my $family (0..${LAST_FAMILY}) { for my $type (1, 2, 3, 5) { if (socket(S, $family, $type, 0)) { print "$family\\n"; last } } }`,
      )
      const opened = outcomes.split('\n').map(Number)
      expect(opened.filter((family) => !ALLOWED_FAMILIES.includes(family))).toEqual([])
    })

    it.each([
      ['AF_VSOCK, by which the hypervisor is reached', 40],
      ['AF_ALG, the crypto API of the kernel', 38],
      ['AF_PACKET', 17],
      ['AF_XDP', 44],
      ['AF_BLUETOOTH', 31],
      ['AF_CAN', 29],
      ['AF_TIPC', 30],
      ['AF_KEY', 15],
    ])('may open no socket of %s', async (_, family) => {
      for (const type of [SOCK_STREAM, SOCK_DGRAM, SOCK_RAW, 5])
        expect(await world().mallory.attempt(`socket(S, ${family}, ${type}, 0)`)).toMatch(
          /^(EPERM|EAFNOSUPPORT)$/,
        )
    })

    it('may open no raw socket, on which it could answer for others', async () => {
      const { mallory } = world()
      for (const [family, protocol] of [
        [AF_INET, 1],
        [AF_INET, 6],
        [AF_INET, 255],
        [AF_INET6, 58],
      ])
        expect(await mallory.attempt(`socket(S, ${family}, ${SOCK_RAW}, ${protocol})`)).toBe('EPERM')
    })

    it('may look at its network by netlink, but not change it', async () => {
      // RTM_NEWLINK: bring the loopback down. The kernel's answer is an error message with the number after the header.
      const request = 'pack("L S S L L C x S i L L", 32, 16, 5, 1, 0, 0, 0, 1, 0, 1)'
      const ask = `socket(S, ${AF_NETLINK}, ${SOCK_RAW}, 0) or die; send(S, ${request}, 0); recv(S, $answer, 4096, 0)`
      const error = await world().mallory.perl(`${ask}; print -unpack("x16 l", $answer)`)
      expect(['1', '13', '95']).toContain(error)
      expect(await world().mallory.shell('cat /proc/net/dev')).toContain('lo:')
    })
  })
}
