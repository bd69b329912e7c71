import { once } from 'node:events'
import { readdirSync } from 'node:fs'
import { request as httpRequest, type IncomingMessage, type RequestOptions } from 'node:http'
import { connect, type Socket } from 'node:net'
import { join } from 'node:path'
import { buffer, text } from 'node:stream/consumers'
import { setImmediate as turn } from 'node:timers/promises'
import { gzipSync } from 'node:zlib'
import { describe, expect, it, vi } from 'vitest'
import { type GatewayLimits, GatewaySockets } from '../src/gateway-socket.js'
import { testClock } from '../src/testing/test-clock.js'
import { openTransport } from '../src/transport.js'
import { dialUnixSocket } from '../src/unix-socket.js'
import { afterwards, listenHttp, longDirectory, openDescriptors, tempDirectory } from './sockets.js'

interface Answer {
  readonly status: number | undefined
  readonly headers: IncomingMessage['headers']
  readonly body: string
}

/** A gateway that one tenant can ask. */
async function gateway(limits: Partial<GatewayLimits> = {}, clock = testClock()) {
  const warnings = vi.fn()
  const sockets = new GatewaySockets({ onWarning: warnings, limits, clock })
  afterwards(() => sockets.closeAll())
  const directory = tempDirectory()
  await sockets.open('user-42', directory)
  return {
    sockets,
    warnings,
    directory,
    clock,
    dial: () => dialUnixSocket(directory, 'gateway.sock'),
    ...asking(directory),
  }
}

function asking(directory: string) {
  const socketPath = join(directory, 'gateway.sock')
  const begin = (path: string, options: RequestOptions = {}) =>
    httpRequest({ socketPath, path, agent: false, ...options })
  const ask = async (
    path: string,
    options: RequestOptions & { body?: string | Buffer } = {},
  ): Promise<Answer> => {
    const { body, ...rest } = options
    const asked = begin(path, rest).end(body)
    const [answer] = (await once(asked, 'response')) as [IncomingMessage]
    return { status: answer.statusCode, headers: answer.headers, body: await text(answer) }
  }
  return { begin, ask }
}

/** Everything that comes back for these bytes, until the other side closes. */
function exchange(socket: Socket, bytes: string): Promise<string> {
  const chunks: Buffer[] = []
  socket.on('data', (chunk) => chunks.push(chunk))
  // Whoever is cut off while writing hears of that first.
  socket.on('error', () => undefined)
  socket.write(bytes)
  return new Promise((resolve) => socket.once('close', () => resolve(String(Buffer.concat(chunks)))))
}

const pipelined = (path: string, index: number, all: readonly string[]): string =>
  `GET ${path} HTTP/1.1\r\nhost: x\r\n${index === all.length - 1 ? 'connection: close\r\n' : ''}\r\n`

function withResolvers<T = void>() {
  let resolve: (value: T) => void = () => undefined
  const promise = new Promise<T>((settle) => {
    resolve = settle
  })
  return { promise, resolve }
}

describe('a handler', () => {
  it('gets the request and who asks', async () => {
    const { sockets, ask } = await gateway()
    sockets.serve('/model', async (request, { tenant }) =>
      Response.json(
        {
          tenant,
          method: request.method,
          url: request.url,
          app: request.headers.get('x-app'),
          body: await request.text(),
        },
        {
          status: 201,
          headers: [
            ['set-cookie', 'a=1'],
            ['set-cookie', 'b=2'],
          ],
        },
      ),
    )
    const answer = await ask('/model/v1?x=1', { method: 'POST', headers: { 'x-app': 'yes' }, body: 'hello' })
    expect(answer.status).toBe(201)
    expect(answer.headers['set-cookie']).toEqual(['a=1', 'b=2'])
    expect(JSON.parse(answer.body)).toEqual({
      tenant: 'user-42',
      method: 'POST',
      url: 'http://gateway/model/v1?x=1',
      app: 'yes',
      body: 'hello',
    })
  })

  it('is told the tenant by the socket, whatever the request says', async () => {
    const { sockets, ask } = await gateway()
    const other = tempDirectory()
    await sockets.open('user-43', other)
    sockets.serve('/who', (_, { tenant }) => new Response(tenant))
    const headers = { host: 'user-42', 'x-tenant': 'user-42' }
    expect((await asking(other).ask('/who', { headers })).body).toBe('user-43')
    expect((await ask('/who', { headers })).body).toBe('user-42')
  })

  it('answers in the place of a path too long for a socket address', async () => {
    const { sockets } = await gateway()
    const directory = longDirectory()
    await sockets.open('user-43', directory)
    const socket = await dialUnixSocket(directory, 'gateway.sock')
    expect(await exchange(socket, 'GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n')).toMatch(
      /^HTTP\/1\.1 404 /,
    )
  })

  it('can be reached with the fetch of the platform', async () => {
    const { sockets, dial } = await gateway()
    sockets.serve('/echo', async (request) => new Response(request.body, { headers: { 'x-app': 'yes' } }))
    const timeouts = { connect: false, firstByte: false, silence: false } as const
    const box = openTransport({ tenant: 'user-42', dial, timeouts })
    afterwards(() => box.close())
    const body = ReadableStream.from([Buffer.from('one '), Buffer.from('two')])
    expect(await (await box.fetch('/echo', { method: 'POST', body })).text()).toBe('one two')
  })

  it('may answer with what it has fetched elsewhere', async () => {
    const elsewhere = await listenHttp((_, response) => {
      response.writeHead(200, {
        'content-encoding': 'gzip',
        'content-type': 'text/plain',
        'keep-alive': 'timeout=9',
      })
      response.end(gzipSync('a long answer'.repeat(100)))
    })
    const { Agent } = await import('undici')
    const dispatcher = new Agent({
      connect: { socketPath: join(elsewhere.directory, elsewhere.name) } as never,
    })
    afterwards(() => dispatcher.close())
    const { sockets, ask } = await gateway()
    sockets.serve('/proxy', () => fetch('http://localhost/', { dispatcher: dispatcher as never }))
    const answer = await ask('/proxy')
    expect(answer.body).toBe('a long answer'.repeat(100))
    expect(answer.headers).toMatchObject({ 'content-type': 'text/plain' })
    expect(answer.headers).not.toHaveProperty('content-encoding')
  })

  it('may stream both ways at once', async () => {
    const { sockets, begin } = await gateway()
    sockets.serve('/echo', (request) => new Response(request.body))
    const asked = begin('/echo', { method: 'POST' })
    asked.write('ping')
    const [answer] = (await once(asked, 'response')) as [IncomingMessage]
    expect(String((await once(answer, 'data'))[0])).toBe('ping')
    asked.write('pong')
    expect(String((await once(answer, 'data'))[0])).toBe('pong')
    asked.end()
    await once(answer, 'end')
  })

  it.each([204, 304])('may answer without a body (%d)', async (status) => {
    const { sockets, ask } = await gateway()
    sockets.serve('/', () => new Response(null, { status }))
    expect(await ask('/')).toMatchObject({ status, body: '' })
  })

  it('may leave the body to a HEAD request out', async () => {
    const cancelled = vi.fn()
    const { sockets, ask } = await gateway()
    sockets.serve(
      '/',
      () => new Response(new ReadableStream({ cancel: cancelled }), { headers: { 'x-app': 'yes' } }),
    )
    expect(await ask('/', { method: 'HEAD' })).toMatchObject({
      status: 200,
      body: '',
      headers: { 'x-app': 'yes' },
    })
    expect(cancelled).toHaveBeenCalled()
  })

  it('sends no faster than the box reads', async () => {
    let produced = 0
    const { sockets, begin } = await gateway()
    sockets.serve('/', () => {
      const body = new ReadableStream({
        pull(controller) {
          produced++
          if (produced === 1_000) controller.close()
          else controller.enqueue(Buffer.alloc(64 * 1024))
        },
      })
      return new Response(body)
    })
    const asked = begin('/').end()
    const [answer] = (await once(asked, 'response')) as [IncomingMessage]
    let before = -1
    while (before !== produced) {
      before = produced
      for (let n = 0; n < 50; n++) await turn()
    }
    expect(produced).toBeLessThan(200)
    expect((await buffer(answer)).length).toBe(999 * 64 * 1024)
  })
})

describe('a prefix', () => {
  it.each([
    ['/model', '/model'],
    ['/model?x=1', '/model'],
    ['/model/v1', '/model'],
    ['/model/v2/', '/model/v2'],
    ['/model/v2/chat', '/model/v2'],
    ['/modelling', undefined],
    ['/model/../modelling', undefined],
    ['/other/%2e%2e/model', '/model'],
    ['//model', undefined],
    ['/Model', undefined],
    ['/', undefined],
  ])('of %s is %s', async (path, prefix) => {
    const { sockets, ask } = await gateway()
    for (const served of ['/model/v2', '/model']) sockets.serve(served, () => new Response(served))
    const answer = await ask(path)
    if (prefix) expect(answer.body).toBe(prefix)
    else expect([answer.status, JSON.parse(answer.body)]).toEqual([404, { error: 'not found' }])
  })

  it('of everything is "/"', async () => {
    const { sockets, ask } = await gateway()
    sockets.serve('/', () => new Response('root'))
    sockets.serve('/model', () => new Response('model'))
    expect((await ask('/anything/at/all')).body).toBe('root')
    expect((await ask('/model/x')).body).toBe('model')
  })

  it('can be taken once, until it is given back', async () => {
    const { sockets, ask } = await gateway()
    const remove = sockets.serve('/model', () => new Response('one'))
    expect(() => sockets.serve('/model', () => new Response('two'))).toThrow('not served yet')
    remove()
    expect((await ask('/model')).status).toBe(404)
    sockets.serve('/model', () => new Response('two'))
    remove()
    expect((await ask('/model')).body).toBe('two')
  })

  it.each(['', 'model', '/model/', '//model', '/a//b', '/model?x', '/a b', '/a\\b', undefined])(
    'cannot be %j',
    async (prefix) => {
      const { sockets } = await gateway()
      expect(() => sockets.serve(prefix as string, () => new Response())).toThrow(
        expect.objectContaining({
          code: 'INVALID_OPTION',
          details: expect.objectContaining({ option: 'prefix' }),
        }),
      )
    },
  )
})

describe('a handler that fails', () => {
  it.each([
    ['throws', () => Promise.reject(new Error('secret'))],
    ['returns nothing', () => undefined as never],
    ['returns what cannot be sent', () => Response.error()],
    [
      'returns what was read already',
      async () => {
        const response = new Response('read')
        await response.text()
        return response
      },
    ],
  ])('because it %s, is a 500 without details and a warning', async (_what, handler) => {
    const { sockets, ask, warnings } = await gateway()
    sockets.serve('/', handler)
    expect(await ask('/')).toMatchObject({ status: 500, body: '{"error":"internal error"}' })
    expect(warnings).toHaveBeenCalledExactlyOnceWith(
      'GATEWAY_HANDLER',
      expect.not.stringContaining('secret'),
      {
        tenant: 'user-42',
        cause: expect.any(Error),
      },
    )
  })

  it('in the middle of its answer cuts it, so that nobody takes half for all', async () => {
    const { sockets, begin, warnings } = await gateway()
    let fail = (): void => undefined
    sockets.serve('/', () => {
      const body = new ReadableStream({
        start(controller) {
          controller.enqueue(Buffer.from('half'))
          fail = () => controller.error(new Error('no more'))
        },
      })
      return new Response(body)
    })
    const asked = begin('/').end()
    const [answer] = (await once(asked, 'response')) as [IncomingMessage]
    await once(answer, 'data')
    fail()
    await expect(text(answer)).rejects.toMatchObject({ code: 'ECONNRESET' })
    expect(warnings).toHaveBeenCalledTimes(1)
  })

  it('as often as a box likes is told of once a second, and then how often it was', async () => {
    const { sockets, ask, warnings, clock } = await gateway()
    const other = tempDirectory()
    await sockets.open('user-43', other)
    sockets.serve('/', async (request) => Response.json(await request.json()))
    const flood = async () => {
      for (let i = 0; i < 10; i++)
        expect((await ask('/', { method: 'POST', body: 'no JSON' })).status).toBe(500)
    }
    await flood()
    expect(warnings).toHaveBeenCalledTimes(1)
    // What one tenant's box does hides nothing of another's.
    await asking(other).ask('/', { method: 'POST', body: 'no JSON' })
    expect(warnings.mock.lastCall?.[2]).toMatchObject({ tenant: 'user-43' })
    await clock.advance(1_000)
    await flood()
    expect(warnings).toHaveBeenCalledTimes(3)
    expect(warnings.mock.lastCall?.[1]).toContain('9 more times')
  })

  it('because the box has gone, is none', async () => {
    const { sockets, begin, warnings } = await gateway()
    const aborted = withResolvers()
    const arrived = withResolvers()
    sockets.serve('/', async (_, { signal }) => {
      const over = once(signal, 'abort')
      arrived.resolve()
      await over
      aborted.resolve()
      throw signal.reason
    })
    const asked = begin('/').end()
    asked.on('error', () => undefined)
    await arrived.promise
    asked.destroy()
    await aborted.promise
    await turn()
    expect(warnings).not.toHaveBeenCalled()
  })
})

/** How much has happened in one turn of the event loop, at most. */
function mostInATurn() {
  let now = 0
  let most = 0
  let over = false
  const next = (): void => {
    now = 0
    if (!over) setImmediate(next)
  }
  next()
  afterwards(() => {
    over = true
  })
  return {
    happened: (much = 1) => {
      now += much
      most = Math.max(most, now)
    },
    most: () => most,
  }
}

describe('a box has its turn as everybody has:', () => {
  it('one of its connections is read at a time, however many have something', async () => {
    const { sockets, dial } = await gateway()
    const begun = mostInATurn()
    sockets.serve('/', () => {
      begun.happened()
      return new Response('ok')
    })
    const connections = await Promise.all(Array.from({ length: 32 }, () => dial()))
    for (const socket of connections) socket.write('GET / HTTP/1.1\r\n')
    // All are accepted and wait, so that the rest could be read of all of them in one go.
    for (let turns = 0; turns < 100; turns++) await turn()
    const rest = 'host: x\r\nconnection: close\r\n\r\n'
    const all = await Promise.all(connections.map((socket) => exchange(socket, rest)))
    expect(all.filter((answer) => answer.includes('ok'))).toHaveLength(32)
    expect(begun.most()).toBe(1)
  })

  it('a body comes a piece at a time, of many chunks if they are small', async () => {
    const { sockets, dial } = await gateway()
    const read = mostInATurn()
    let bytes = 0
    sockets.serve('/', async (request) => {
      for await (const piece of request.body ?? []) {
        read.happened(piece.byteLength)
        bytes += piece.byteLength
      }
      return new Response('ok')
    })
    const head = 'POST / HTTP/1.1\r\nhost: x\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n'
    const answer = await exchange(await dial(), `${head}${'1\r\nx\r\n'.repeat(100_000)}0\r\n\r\n`)
    expect(answer).toContain('ok')
    expect(bytes).toBe(100_000)
    // Two pieces, where one waits for its reader until the next comes.
    expect(read.most()).toBeLessThanOrEqual((2 * 64 * 1024) / 6)
  })

  it('whoever goes on sending after the last answer is cut off', async () => {
    const { sockets, directory } = await gateway()
    sockets.serve('/', () => new Response('no thanks'))
    const socket = connect({ path: join(directory, 'gateway.sock'), allowHalfOpen: true })
    const closed = new Promise((resolve) => socket.once('close', resolve))
    socket.on('error', () => undefined).resume()
    socket.write('POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n')
    const pour = (): void => {
      while (socket.write(`1000\r\n${'x'.repeat(4096)}\r\n`));
      socket.once('drain', pour)
    }
    pour()
    await closed
  })

  it('what nobody reads stays in the box', async () => {
    const { sockets, dial } = await gateway()
    const asked = withResolvers()
    sockets.serve('/', () => {
      asked.resolve()
      return new Promise(() => undefined)
    })
    const socket = await dial()
    socket.on('error', () => undefined)
    const MiB = 1024 ** 2
    socket.write(`POST / HTTP/1.1\r\nhost: x\r\ncontent-length: ${16 * MiB}\r\n\r\n`)
    await asked.promise
    for (let bytes = 0; bytes < 16 * MiB; bytes += 8 * 1024) {
      socket.write(Buffer.alloc(8 * 1024))
      await turn()
    }
    expect(socket.writableLength).toBeGreaterThan(14 * MiB)
    socket.destroy()
  })
})

describe('what a box sends is bounded:', () => {
  it('a body that is announced as too large', async () => {
    const { sockets, dial } = await gateway({ bodyBytes: 10 })
    const handler = vi.fn(() => new Response('ok'))
    sockets.serve('/', handler)
    const socket = await dial()
    expect(await exchange(socket, 'POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 11\r\n\r\n')).toMatch(
      /^HTTP\/1\.1 413 /,
    )
    expect(handler).not.toHaveBeenCalled()
  })

  it('a body that turns out too large', async () => {
    const { sockets, dial, warnings } = await gateway({ bodyBytes: 10 })
    sockets.serve('/', async (request) => new Response(await request.text()))
    const head = 'POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n'
    expect(await exchange(await dial(), `${head}b\r\n12345678901\r\n`)).toMatch(/^HTTP\/1\.1 413 /)
    expect(warnings).not.toHaveBeenCalled()
  })

  it('the bodies of all requests that are not answered yet', async () => {
    const { sockets, begin, ask } = await gateway({ pendingBytes: 10 })
    const other = tempDirectory()
    await sockets.open('user-43', other)
    const held = withResolvers()
    sockets.serve('/', async (request) => {
      for await (const _ of request.body ?? []) held.resolve()
      return new Response('ok')
    })
    const open = begin('/', { method: 'POST' })
    open.write('123456')
    await held.promise
    const more = { method: 'POST', body: '12345' }
    expect(await ask('/', more)).toMatchObject({ status: 503, headers: { 'retry-after': '1' } })
    expect(await asking(other).ask('/', more)).toMatchObject({ status: 200 })
    open.end()
    const [answer] = (await once(open, 'response')) as [IncomingMessage]
    expect(await text(answer)).toBe('ok')
    await vi.waitFor(async () => expect(await ask('/', more)).toMatchObject({ status: 200 }))
  })

  it('a body that its handler does not read', async () => {
    const { sockets, begin } = await gateway()
    sockets.serve('/', () => new Response('no thanks'))
    const asked = begin('/', { method: 'POST' })
    asked.on('error', () => undefined)
    asked.write(Buffer.alloc(1024))
    const [answer] = (await once(asked, 'response')) as [IncomingMessage]
    expect(await text(answer)).toBe('no thanks')
    await once(asked, 'close')
  })

  it('headers', async () => {
    const { dial } = await gateway()
    const head = `GET / HTTP/1.1\r\nhost: x\r\nx: ${'y'.repeat(20_000)}\r\n\r\n`
    expect(await exchange(await dial(), head)).toMatch(/^HTTP\/1\.1 431 /)
  })

  it('10 MB of headers', async () => {
    const { sockets, dial } = await gateway()
    const handler = vi.fn(() => new Response('ok'))
    sockets.serve('/', handler)
    const socket = await dial()
    socket.on('error', () => undefined).resume()
    socket.write(`GET / HTTP/1.1\r\nhost: x\r\nx: ${'y'.repeat(10_000_000)}\r\n\r\n`)
    await new Promise((resolve) => socket.once('close', resolve))
    expect(handler).not.toHaveBeenCalled()
  })

  it.each([
    ['no HTTP', 'hello\r\n\r\n', 400],
    ['two lengths', 'POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n', 400],
    [
      'a request smuggled in',
      'POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 4\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n',
      400,
    ],
    ['a whole URL', 'GET http://elsewhere/ HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n', 400],
    ['a method no Request has', 'TRACE / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n', 400],
  ])('%s', async (_what, bytes, status) => {
    const { sockets, dial, warnings } = await gateway()
    sockets.serve('/', () => new Response('ok'))
    expect(await exchange(await dial(), bytes)).toMatch(new RegExp(`^HTTP/1\\.1 ${status} `))
    expect(warnings).not.toHaveBeenCalled()
  })

  it('a tunnel', async () => {
    const { dial } = await gateway()
    expect(await exchange(await dial(), 'CONNECT elsewhere:80 HTTP/1.1\r\nhost: x\r\n\r\n')).toBe('')
  })

  it('a head that drips', async () => {
    const { dial } = await gateway({ headersMs: 200, requestMs: 400 })
    const socket = await dial()
    const drip = setInterval(() => socket.write('x'), 20)
    afterwards(() => clearInterval(drip))
    expect(await exchange(socket, 'GET / HTTP/1.1\r\nx: ')).toMatch(/^HTTP\/1\.1 408 |^$/)
  })

  it('a connection that says nothing', async () => {
    const { dial } = await gateway({ headersMs: 200, requestMs: 400 })
    expect(await exchange(await dial(), '')).toMatch(/^HTTP\/1\.1 408 |^$/)
  })

  it('a body that drips', async () => {
    const { sockets, dial } = await gateway({ headersMs: 200, requestMs: 400 })
    const failed = withResolvers<unknown>()
    sockets.serve('/', async (request) => {
      await request.text().catch(failed.resolve)
      return new Response('late')
    })
    const socket = await dial()
    const drip = setInterval(() => socket.write('1\r\nx\r\n'), 20)
    afterwards(() => clearInterval(drip))
    await exchange(socket, 'POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n')
    expect(await failed.promise).toBeInstanceOf(Error)
  })

  it('requests at a time', async () => {
    const { sockets, begin, ask } = await gateway({ requests: 2 })
    const other = tempDirectory()
    await sockets.open('user-43', other)
    const go = withResolvers()
    let running = 0
    sockets.serve('/slow', async () => {
      running++
      await go.promise
      return new Response('ok')
    })
    sockets.serve('/quick', () => new Response('ok'))
    const slow = [1, 2].map(() => once(begin('/slow').end(), 'response') as Promise<[IncomingMessage]>)
    await vi.waitUntil(() => running === 2)
    expect(await ask('/quick')).toMatchObject({ status: 503, headers: { 'retry-after': '1' } })
    expect(await asking(other).ask('/quick')).toMatchObject({ status: 200 })
    go.resolve()
    for (const [answer] of await Promise.all(slow)) expect(await text(answer)).toBe('ok')
    await vi.waitFor(async () => expect(await ask('/quick')).toMatchObject({ status: 200 }))
  })

  it('requests at a time, also those of one connection, which are answered in their order', async () => {
    const { sockets, dial, ask } = await gateway({ requests: 2 })
    const go = withResolvers()
    const asked: string[] = []
    sockets.serve('/', async (request) => {
      const { pathname } = new URL(request.url)
      asked.push(pathname)
      if (pathname === '/1') await go.promise
      return new Response(`answer to ${pathname}`)
    })
    const got = exchange(await dial(), ['/1', '/2'].map(pipelined).join(''))
    await vi.waitUntil(() => asked.length === 2)
    expect(await ask('/3')).toMatchObject({ status: 503 })
    go.resolve()
    expect((await got).match(/answer to \/\d/g)).toEqual(['answer to /1', 'answer to /2'])
  })

  it('requests that wait on one connection: all of the box are cut', async () => {
    const { sockets, dial, warnings } = await gateway()
    const other = await dial()
    const signals: AbortSignal[] = []
    sockets.serve('/', (_, { signal }) => {
      signals.push(signal)
      return new Promise(() => undefined)
    })
    expect(
      await exchange(
        await dial(),
        Array.from({ length: 1_000 }, () => '/')
          .map(pipelined)
          .join(''),
      ),
    ).toBe('')
    await vi.waitUntil(() => signals.every(({ aborted }) => aborted))
    expect(signals.length).toBeGreaterThan(0)
    expect(signals.length).toBeLessThanOrEqual(8)
    await new Promise((resolve) => other.once('close', resolve).resume())
    expect(warnings).not.toHaveBeenCalled()
  })

  it('requests at a time: one whose answer waits for another’s ends with the connection', async () => {
    const { sockets, dial, ask } = await gateway({ requests: 3 })
    const signals: AbortSignal[] = []
    const remove = sockets.serve('/', (_, { signal }) => {
      signals.push(signal)
      // The last answers at once, and its answer has to wait.
      return signals.length === 3 ? new Response('x'.repeat(1_000_000)) : new Promise(() => undefined)
    })
    const socket = await dial()
    socket.write(['/1', '/2', '/3'].map(pipelined).join(''))
    await vi.waitUntil(() => signals.length === 3)
    remove()
    socket.destroy()
    await vi.waitUntil(() => signals.every(({ aborted }) => aborted))
    sockets.serve('/', () => new Response('ok'))
    const all = await Promise.all([1, 2, 3].map(() => ask('/')))
    expect(all.map(({ status }) => status)).toEqual([200, 200, 200])
  })

  it('connections at a time', async () => {
    const { sockets, dial, ask } = await gateway({ connections: 2 })
    sockets.serve('/', () => new Response('ok'))
    const held = [await dial(), await dial()]
    await expect(ask('/')).rejects.toThrow()
    for (const socket of held) socket.destroy()
    await vi.waitFor(async () => expect(await ask('/')).toMatchObject({ status: 200 }))
  })

  it('the patience with a box that does not read its answer', async () => {
    const { sockets, dial, clock } = await gateway()
    const ended = withResolvers<number>()
    let taken = 0
    sockets.serve('/', (request, { signal }) => {
      const most = Number(new URL(request.url).searchParams.get('pieces') ?? Infinity)
      taken = 0
      signal.addEventListener('abort', () => ended.resolve(taken))
      const body = new ReadableStream({
        pull(controller) {
          if (taken === most) return controller.close()
          taken++
          controller.enqueue(new Uint8Array(1_024))
        },
      })
      return new Response(body)
    })
    const stalled = async (path: string): Promise<void> => {
      const socket = await dial()
      socket.pause().write(`GET ${path} HTTP/1.1\r\nhost: x\r\n\r\n`)
      await vi.waitUntil(() => clock.pending.length > 0)
      await clock.advance(60_000)
      await new Promise((resolve) => socket.once('close', resolve).resume())
      expect(clock.pending).toEqual([])
    }
    await stalled('/')
    const pieces = await ended.promise
    // So many that the last of them still wait when the answer ends, but too few to be told to wait before.
    await stalled(`/?pieces=${pieces - 4}`)
    expect(taken).toBe(pieces - 4)
  })
})

describe('the signal', () => {
  async function asked() {
    const started = withResolvers<AbortSignal>()
    const opened = await gateway()
    const cancelled = withResolvers()
    opened.sockets.serve('/', (_, { signal }) => {
      started.resolve(signal)
      const body = new ReadableStream({
        start: (controller) => controller.enqueue(Buffer.from('begun')),
        cancel: () => cancelled.resolve(),
      })
      return new Response(body)
    })
    const client = await opened.dial()
    client.on('error', () => undefined)
    client.write('GET / HTTP/1.1\r\nhost: x\r\n\r\n')
    await once(client, 'data')
    return { ...opened, client, signal: await started.promise, cancelled: cancelled.promise }
  }

  it('aborts when the box goes', async () => {
    const { client, signal, cancelled } = await asked()
    client.destroy()
    await cancelled
    expect(signal.aborted).toBe(true)
  })

  it('aborts when the box closes its half', async () => {
    const { client, signal, cancelled } = await asked()
    client.end()
    await cancelled
    expect(signal.aborted).toBe(true)
  })

  it('aborts when the box closes its half at once, on many connections', async () => {
    const { sockets, dial } = await gateway()
    const signals: AbortSignal[] = []
    sockets.serve('/', ({ url }, { signal }) => {
      if (url.endsWith('/first')) return new Response('ok')
      signals.push(signal)
      return new Promise(() => undefined)
    })
    const clients = await Promise.all(Array.from({ length: 8 }, dial))
    for (const client of clients) {
      client.on('error', () => undefined).write('GET /first HTTP/1.1\r\nhost: x\r\n\r\n')
      await once(client, 'data')
    }
    for (const client of clients) client.end('GET / HTTP/1.1\r\nhost: x\r\n\r\n')
    await vi.waitUntil(() => signals.length === 8 && signals.every(({ aborted }) => aborted))
  })

  it('aborts when the socket closes', async () => {
    const { sockets, signal, cancelled } = await asked()
    await sockets.close('user-42')
    await cancelled
    expect(signal.aborted).toBe(true)
  })

  it('does not abort once the answer is out', async () => {
    const { sockets, ask } = await gateway()
    const given: AbortSignal[] = []
    sockets.serve('/', (_, { signal }) => {
      given.push(signal)
      return new Response('ok')
    })
    await ask('/')
    await turn()
    expect(given.map(({ aborted }) => aborted)).toEqual([false])
  })
})

describe('opening and closing', () => {
  it('is once per tenant, however often it is asked for', async () => {
    const { sockets, directory, ask } = await gateway()
    await Promise.all([sockets.open('user-42', directory), sockets.open('user-42', directory)])
    expect((await ask('/')).status).toBe(404)
  })

  it('comes in the order it was asked for', async () => {
    const { sockets, directory, ask } = await gateway()
    const steps = [
      sockets.close('user-42'),
      sockets.open('user-42', directory),
      sockets.close('user-42'),
      sockets.close('user-42'),
    ]
    await Promise.all([...steps, sockets.open('user-42', directory)])
    expect((await ask('/')).status).toBe(404)
    await sockets.close('user-42')
    expect(readdirSync(directory)).toEqual([])
    await sockets.close('nobody')
  })

  it('can be tried again when it fails', async () => {
    const { sockets } = await gateway()
    const directory = tempDirectory()
    await expect(sockets.open('user-43', join(directory, 'missing'))).rejects.toMatchObject({
      code: 'ENOENT',
    })
    await sockets.open('user-43', directory)
    expect((await asking(directory).ask('/')).status).toBe(404)
  })

  it('leaves nothing behind', async () => {
    const before = openDescriptors()
    const sockets = new GatewaySockets({ onWarning: () => undefined })
    const directories = Array.from({ length: 5 }, () => tempDirectory())
    await Promise.all(directories.map((directory, n) => sockets.open(`user-${n}`, directory)))
    const clients = await Promise.all(
      directories.map((directory) => dialUnixSocket(directory, 'gateway.sock')),
    )
    directories.push(tempDirectory())
    const late = sockets.open('late', directories.at(-1) ?? '')
    await sockets.closeAll()
    await late
    for (const directory of directories) expect(readdirSync(directory)).toEqual([])
    for (const client of clients) client.destroy()
    await vi.waitUntil(() => openDescriptors() <= before)
  })

  it('keeps nothing that would keep the process alive', async () => {
    const before = await activeSockets()
    const clock = testClock()
    const sockets = new GatewaySockets({ onWarning: () => undefined, clock })
    const directory = tempDirectory()
    await sockets.open('user-42', directory)
    const arrived = withResolvers()
    sockets.serve('/', () => {
      arrived.resolve()
      return new Promise(() => undefined)
    })
    const asked = asking(directory).begin('/').end()
    asked.on('error', () => undefined)
    const gone = new Promise((resolve) => asked.once('close', resolve))
    await arrived.promise
    expect(await activeSockets()).not.toEqual(before)
    await Promise.all([gone, sockets.closeAll()])
    expect(await activeSockets()).toEqual(before)
    expect(clock.pending).toEqual([])
  })
})

/** Sockets that keep this process alive, once what was let go of before is really gone. */
async function activeSockets(): Promise<string[]> {
  let last: string[] = []
  for (let same = 0; same < 20; ) {
    await turn()
    const now = process
      .getActiveResourcesInfo()
      .filter((resource) => resource === 'PipeWrap')
      .sort()
    same = now.join() === last.join() ? same + 1 : 0
    last = now
  }
  return last
}
