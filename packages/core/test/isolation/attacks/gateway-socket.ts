import { describe, expect, it } from 'vitest'
import type { Isolation } from '../isolation.js'
import { Bystander } from '../load.js'

/** Raw bytes to the gateway socket, and what comes back until it is closed. */
const SPEAK = (bytes: string, waitMs = 2_000) => `
  new Promise(async (resolve) => {
    const { connect } = await import('node:net')
    let answer = ''
    const end = (otherwise) => { clearTimeout(timer); socket.destroy(); resolve(answer || otherwise) }
    const timer = setTimeout(end, ${waitMs}, 'silent')
    const socket = connect(process.env.TENANTBOX_GATEWAY, () => socket.write(${JSON.stringify(bytes)}))
    socket.on('data', (chunk) => { answer += chunk }).on('error', () => end('reset')).on('close', () => end('closed'))
  })`

const head = (path: string, ...headers: string[]) =>
  [`GET ${path} HTTP/1.1`, 'host: gateway', ...headers, '', ''].join('\r\n')

/** The one way from a box to its gateway. */
export function gatewaySocketAttacks(world: () => Isolation): void {
  describe.concurrent("the gateway socket: an attacker's box", () => {
    it.each([
      [
        'headers that proxies add',
        head(
          '/whoami',
          'x-tenant: victim',
          'x-forwarded-for: victim',
          'forwarded: for=victim',
          'connection: close',
        ),
      ],
      ['the host header', 'GET /whoami HTTP/1.1\r\nhost: victim\r\nconnection: close\r\n\r\n'],
      ['another path', head('/../victim/whoami', 'connection: close')],
      ['an absolute target', head('http://victim/whoami', 'connection: close')],
      ['an encoded path', head('/%2e%2e/victim%2fwhoami', 'connection: close')],
      [
        'credentials',
        head('/whoami', 'authorization: Basic dmljdGltOng=', 'cookie: tenant=victim', 'connection: close'),
      ],
    ])('is nobody but itself, whatever it says of itself: %s', async (_, request) => {
      const answer = await world().mallory.node(SPEAK(request))
      expect(answer).not.toMatch(/victim/)
      expect(answer).toMatch(/mallory|HTTP\/1\.1 40[04]/)
    })

    it('reaches no path but those that are served', async () => {
      for (const path of ['/', '/healthz', '/etc/passwd', '/whoamI', '/whoami2', '//whoami'])
        expect(await world().mallory.node(SPEAK(head(path, 'connection: close')))).toMatch(
          /^HTTP\/1\.1 40[04]/,
        )
    })

    it.each([
      [
        'both a length and chunks',
        'POST /whoami HTTP/1.1\r\nhost: g\r\ncontent-length: 4\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n',
      ],
      [
        'two lengths',
        'POST /whoami HTTP/1.1\r\nhost: g\r\ncontent-length: 4\r\ncontent-length: 5\r\n\r\nabcd',
      ],
      ['garbage', '\u0001\u0002 garbage\r\n\r\n'],
      ['headers of 64 KiB', `GET /whoami HTTP/1.1\r\nx: ${'x'.repeat(64 * 1024)}\r\n\r\n`],
      ['an upgrade', head('/whoami', 'connection: upgrade', 'upgrade: websocket')],
      ['CONNECT', 'CONNECT 127.0.0.1:22 HTTP/1.1\r\nhost: 127.0.0.1:22\r\n\r\n'],
    ])('cannot confuse it with %s', async (_, bytes) => {
      const { mallory, pool } = world()
      const answer = await mallory.node(SPEAK(bytes))
      expect(answer).toMatch(/^(HTTP\/1\.1 (4\d\d|200)|closed|reset)/)
      expect(await (await pool.fetch('victim', '/ask')).text()).toBe('victim')
    })

    it('cannot send a body beyond the limit, announced or not', async () => {
      const post = (headers: string) => `
        new Promise(async (resolve) => {
          const { request } = await import('node:http')
          const asked = request({ socketPath: process.env.TENANTBOX_GATEWAY, path: '/swallow', method: 'POST', headers: ${headers} }, (answer) => resolve(answer.statusCode))
          asked.on('error', (error) => resolve(error.code))
          const chunk = Buffer.alloc(1024 * 1024)
          const pour = () => { while (!asked.destroyed && asked.write(chunk)); if (!asked.destroyed) asked.once('drain', pour) }
          pour()
        })`
      const { mallory, pool } = world()
      let swallowed = 0
      const remove = pool.serve('/swallow', async (request) => {
        for await (const chunk of request.body ?? []) swallowed += chunk.length
        return new Response('all of it')
      })
      try {
        for (const headers of ['{}', `{ 'content-length': 1e12 }`])
          expect([413, 'EPIPE', 'ECONNRESET']).toContain(await mallory.node(post(headers)))
        expect(swallowed).toBeLessThanOrEqual(32 * 1024 ** 2)
      } finally {
        remove()
      }
    })

    it('cannot keep a connection for ever by never finishing its headers', async () => {
      const { mallory } = world()
      const answer = await mallory.node(SPEAK('GET /whoami HTTP/1.1\r\nx-unfinished: ', 18_000))
      expect(answer).toMatch(/^(HTTP\/1\.1 408|closed|reset)/)
    })

    it('cannot replace it, and cannot listen in its place', async () => {
      const { mallory } = world()
      for (const act of [
        'unlink("/run/gateway/gateway.sock") || undef',
        'rename("/workspace", "/run/gateway/gateway.sock") || undef',
        'socket(S, 1, 1, 0); bind(S, unix("/run/gateway/other.sock"))',
        'chmod(0, "/run/gateway/gateway.sock") || undef',
      ])
        expect(await mallory.attempt(act), act).toMatch(/^(EROFS|EACCES|EPERM|EXDEV|EBUSY)$/)
    })
  })

  describe("the gateway socket, flooded: an attacker's box", () => {
    it("cannot fill the gateway's memory with many bodies at a time, none of which ends", async () => {
      // 16 bodies within the limit of one, each left open; the handler keeps what it gets, as most do.
      const pour = `
        (async () => {
          const { request } = await import('node:http')
          const open = []
          const outcomes = Array.from({ length: 16 }, () => new Promise((resolve) => {
            const asked = request({ socketPath: process.env.TENANTBOX_GATEWAY, path: '/keep', method: 'POST' }, (answer) => resolve(answer.statusCode))
            open.push(asked)
            asked.on('error', ({ code }) => resolve(code)).write(Buffer.alloc(16 * 1024 ** 2), () => resolve('taken'))
          }))
          const all = await Promise.all(outcomes)
          for (const asked of open) asked.destroy()
          return all
        })()`
      const { mallory, pool } = world()
      let kept = 0
      let most = 0
      const remove = pool.serve('/keep', async (request) => {
        let own = 0
        try {
          for await (const chunk of request.body ?? []) {
            own += chunk.length
            kept += chunk.length
            most = Math.max(most, kept)
          }
          return new Response('all of it')
        } finally {
          kept -= own
        }
      })
      try {
        expect(new Set((await mallory.node(pour)) as unknown[])).not.toEqual(new Set(['taken']))
        expect(most).toBeLessThanOrEqual(64 * 1024 ** 2)
      } finally {
        remove()
      }
    })

    it('cannot hold more connections than its share', async () => {
      const share = 64
      const open = `
        new Promise(async (resolve) => {
          const { connect } = await import('node:net')
          let connected = 0
          let closed = 0
          const look = () => { if (connected === 300 && connected - closed <= ${share}) resolve(connected - closed) }
          for (let i = 0; i < 300; i++)
            connect(process.env.TENANTBOX_GATEWAY, () => { connected++; look() })
              .on('close', () => { closed++; look() })
              .on('error', () => undefined)
          setTimeout(() => resolve(connected - closed), 8_000)
        }).finally(() => setImmediate(() => process.exit()))`
      const { mallory, pool } = world()
      expect(await mallory.node(open)).toBeLessThanOrEqual(share)
      expect(await (await pool.fetch('victim', '/ask')).text()).toBe('victim')
    })

    it('cannot take the gateway from others: by requests that do not wait for the one before, which is slow', async () => {
      const most = 32
      const flood = `
        (async () => {
          const { connect } = await import('node:net')
          const head = 'GET /slow HTTP/1.1\\r\\nhost: g\\r\\n\\r\\n'
          const all = Array.from({ length: 50 }, () => connect(process.env.TENANTBOX_GATEWAY).on('error', () => undefined))
          for (const socket of all) socket.write(head.repeat(2_000))
          await new Promise((resolve) => setTimeout(resolve, 1_000))
          for (const socket of all) socket.destroy()
          return all.length
        })()`
      const { mallory, pool } = world()
      let running = 0
      let atMost = 0
      const remove = pool.serve('/slow', async (_, { signal }) => {
        running++
        atMost = Math.max(atMost, running)
        await new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }))
        running--
        return new Response('late')
      })
      try {
        await new Bystander(pool, 'victim').during('requests without waiting', () => mallory.node(flood))
        expect(atMost).toBeGreaterThan(0)
        expect(atMost).toBeLessThanOrEqual(most)
        // Whatever waited behind another is over with its connection, and counts no more.
        await expect.poll(() => running).toBe(0)
        // What the kernel holds of the flood is read only now, and cuts once more whatever this box has open.
        const ask = () => mallory.node(SPEAK(head('/whoami', 'connection: close'), 15_000))
        await expect.poll(ask, { timeout: 20_000 }).toContain('mallory')
      } finally {
        remove()
      }
    })

    it('cannot take the gateway from others: by bodies in chunks of one byte', async () => {
      const flood = `
        const { connect } = require('node:net')
        const head = 'POST /all HTTP/1.1\\r\\nhost: g\\r\\ntransfer-encoding: chunked\\r\\n\\r\\n'
        const crumbs = Buffer.from('1\\r\\nx\\r\\n'.repeat(10_000))
        for (let i = 0; i < 32; i++) {
          const socket = connect(process.env.TENANTBOX_GATEWAY, () => { socket.write(head); pour() }).on('error', () => undefined)
          const pour = () => { while (socket.write(crumbs)); socket.once('drain', pour) }
        }`
      const { pool } = world()
      let pieces = 0
      let bytes = 0
      let enough = (): void => undefined
      const read = new Promise<void>((resolve) => {
        enough = resolve
      })
      const remove = pool.serve('/all', async (request) => {
        for await (const piece of request.body ?? []) {
          pieces++
          bytes += piece.byteLength
          if (bytes > 100_000) enough()
        }
        return new Response('all of it')
      })
      try {
        await new Bystander(pool, 'victim').during('bodies in chunks of one byte', () =>
          pool.use('mallory', async (box) => {
            await using _ = await box.spawn(['/bin/node', '-e', flood])
            await read
          }),
        )
        expect(pieces).toBeLessThan(bytes / 100)
      } finally {
        remove()
      }
    })

    it('cannot take the gateway from others: by floods of requests, endless ones and connections that say nothing', async () => {
      const flood = `
        const { connect } = require('node:net')
        const begun = Array.from({ length: 300 }, (_, i) => {
          const socket = connect(process.env.TENANTBOX_GATEWAY, () => {
            if (i % 3 === 0) socket.write('GET /whoami HTTP/1.1\\r\\nx-unfinished: ')
            if (i % 3 === 1) socket.write('POST /whoami HTTP/1.1\\r\\nhost: g\\r\\ncontent-length: 1000000\\r\\n\\r\\nx')
          })
          return socket.on('error', () => undefined)
        })
        const { Agent, get } = require('node:http')
        const agent = new Agent({ keepAlive: true, maxSockets: 100 })
        const end = Date.now() + 3000
        const ask = () => Date.now() > end ? process.exit() : get({ socketPath: process.env.TENANTBOX_GATEWAY, path: '/whoami', agent }, (answer) => answer.resume().on('end', ask)).on('error', () => setTimeout(ask, 1))
        for (let i = 0; i < 100; i++) ask()
        setTimeout(() => process.exit(), 4000)`
      const { mallory, pool } = world()
      const asked: string[] = []
      await new Bystander(pool, 'victim').during('flood of the gateway socket', async () => {
        let over = false
        const flooding = mallory.run(['/bin/node', '-e', flood]).finally(() => {
          over = true
        })
        while (!over) asked.push(await (await pool.fetch('victim', '/ask')).text())
        await flooding
      })
      expect(new Set(asked)).toEqual(new Set(['victim']))
    })
  })
}
