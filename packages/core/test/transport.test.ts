import { once } from 'node:events'
import { symlinkSync, unlinkSync } from 'node:fs'
import { join } from 'node:path'
import type { Duplex } from 'node:stream'
import { text } from 'node:stream/consumers'
import { setImmediate as turn } from 'node:timers/promises'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { gzipSync } from 'node:zlib'
import { describe, expect, it, vi } from 'vitest'
import { TenantBoxError } from '../src/errors.js'
import { testClock } from '../src/testing/test-clock.js'
import { openTransport, type Transport, type TransportOptions } from '../src/transport.js'
import { dialUnixSocket } from '../src/unix-socket.js'
import {
  afterwards,
  type Listening,
  listenHttp,
  listenRaw,
  openDescriptors,
  tempDirectory,
} from './sockets.js'

const timeouts = { connect: 5_000, firstByte: 600_000, silence: 600_000 }

function transportTo({ dial }: Pick<Listening, 'dial'>, options: Partial<TransportOptions> = {}): Transport {
  const transport = openTransport({ tenant: 'user-42', dial, timeouts, ...options })
  afterwards(() => transport.close())
  return transport
}

/** An agent that answers every connection with these bytes, once it has been asked something. */
const answering = (...pieces: (string | Buffer)[]) =>
  listenRaw((socket) => socket.once('data', () => pieces.forEach((piece) => void socket.write(piece))))

const failure = (promise: Promise<unknown>): Promise<TenantBoxError> =>
  promise.then(
    () => Promise.reject(new Error('it did not fail')),
    (error) => error,
  )

const agentFailed = (details: object) => ({
  name: 'TenantBoxError',
  code: 'AGENT_FAILED',
  tenant: 'user-42',
  details,
})

describe('a request', () => {
  const echo = () =>
    listenHttp(async (request, response) => {
      const { method, url, headers } = request
      response.end(JSON.stringify({ method, url, headers, body: await text(request) }))
    })

  it('reaches the agent as it was made', async () => {
    const { fetch } = bind(transportTo(await echo()))
    const response = await fetch('/notes?all=1#top', {
      method: 'POST',
      body: '{"a":1}',
      headers: { 'x-app': 'yes' },
    })
    expect(response.status).toBe(200)
    expect(await response.json()).toMatchObject({
      method: 'POST',
      url: '/notes?all=1',
      headers: { host: 'localhost', 'content-length': '7', 'x-app': 'yes', 'accept-encoding': 'identity' },
      body: '{"a":1}',
    })
  })

  it('may be a Request of the platform', async () => {
    const { fetch } = bind(transportTo(await echo()))
    const request = new Request('http://anywhere/', {
      method: 'PUT',
      body: 'hello',
      headers: { 'x-app': 'yes' },
    })
    expect(await (await fetch('/', request)).json()).toMatchObject({
      method: 'PUT',
      body: 'hello',
      headers: { 'x-app': 'yes' },
    })
  })

  it('may carry a form', async () => {
    const { fetch } = bind(transportTo(await echo()))
    const body = new FormData()
    body.set('file', new Blob(['content']), 'notes.txt')
    expect(await (await fetch('/', { method: 'POST', body })).json()).toMatchObject({
      headers: { 'content-type': expect.stringMatching(/^multipart\/form-data; boundary=/) },
      body: expect.stringContaining('filename="notes.txt"'),
    })
  })

  it('may carry a stream', async () => {
    const { fetch } = bind(transportTo(await echo()))
    const body = ReadableStream.from([Buffer.from('one '), Buffer.from('two')])
    expect(await (await fetch('/', { method: 'POST', body })).json()).toMatchObject({
      body: 'one two',
      headers: { 'transfer-encoding': 'chunked' },
    })
  })

  it('keeps repeated headers of the answer apart', async () => {
    const { fetch } = bind(
      transportTo(await listenHttp((_, response) => response.setHeader('set-cookie', ['a=1', 'b=2']).end())),
    )
    expect((await fetch('/')).headers.getSetCookie()).toEqual(['a=1', 'b=2'])
  })

  it.each([204, 304])('may be answered without a body (%d)', async (status) => {
    const { fetch } = bind(transportTo(await listenHttp((_, response) => response.writeHead(status).end())))
    expect(await fetch('/')).toMatchObject({ status, body: null })
  })

  it('reuses its connection', async () => {
    const agent = await listenHttp((_, response) => response.end('ok'))
    const { fetch } = bind(transportTo(agent))
    for (let n = 0; n < 20; n++) expect(await (await fetch('/')).text()).toBe('ok')
    // The first is free again one turn of the event loop after its answer: until then a second one serves.
    expect(agent.accepted()).toBeLessThanOrEqual(2)
  })

  it('does not wait for others', async () => {
    let answer = (): void => undefined
    const agent = await listenHttp((request, response) => {
      if (request.url === '/quick') response.end('quick')
      else answer = () => response.end('slow')
    })
    const { fetch } = bind(transportTo(agent))
    const slow = fetch('/slow')
    expect(await (await fetch('/quick')).text()).toBe('quick')
    answer()
    expect(await (await slow).text()).toBe('slow')
  })

  it('shares a signal with many others without a warning', async () => {
    const warned = vi.fn()
    process.on('warning', warned)
    afterwards(() => process.off('warning', warned))
    const { fetch } = bind(transportTo(await listenHttp((_, response) => response.end('ok'))))
    const { signal } = new AbortController()
    const responses = await Promise.all(Array.from({ length: 30 }, () => fetch('/', { signal })))
    await Promise.all(responses.map((response) => response.text()))
    await turn()
    expect(warned).not.toHaveBeenCalled()
  })

  it.each([
    '',
    'notes',
    'http://elsewhere/',
    '//elsewhere/',
    '/\\elsewhere/',
    '\\/elsewhere/',
    '/\t/elsewhere/',
    '/a\\b',
    '/a\nb',
  ])('is refused for the path %j', async (path) => {
    const agent = await echo()
    const { fetch } = bind(transportTo(agent))
    expect(await failure(fetch(path))).toMatchObject({ code: 'INVALID_OPTION', details: { option: 'path' } })
    expect(agent.accepted()).toBe(0)
  })

  it.each([
    ['that fetch refuses', { body: 'a body', method: 'GET' }],
    ['that undici refuses', { headers: { expect: 'something' } }],
  ])('with an init %s is the caller’s mistake', async (_what, init) => {
    const { fetch } = bind(transportTo(await echo()))
    expect(await failure(fetch('/', init))).toBeInstanceOf(TypeError)
  })

  it('rejects with what its own body fails with', async () => {
    const gone = agentThatSeesItGo()
    const { fetch } = bind(transportTo(await gone.agent))
    const mistake = new Error('the file is gone')
    const body = new ReadableStream({
      async start(controller) {
        controller.enqueue(Buffer.from('half'))
        await gone.asked
        controller.error(mistake)
      },
    })
    expect(await failure(fetch('/', { method: 'POST', body }))).toBe(mistake)
    await gone.gone
  })
})

describe('an answer that is not taken', () => {
  it('a redirect, which is not followed', async () => {
    const elsewhere = await listenHttp((_, response) => response.end('secret'))
    const { fetch } = bind(
      transportTo(
        await listenHttp((_, response) => response.writeHead(302, { location: 'http://localhost/' }).end()),
      ),
    )
    expect(await failure(fetch('/'))).toMatchObject(agentFailed({ status: 302, sent: true, partial: false }))
    expect(await failure(fetch('/', { redirect: 'error' }))).toMatchObject(agentFailed({ status: 302 }))
    const shown = await fetch('/', { redirect: 'manual' })
    expect([shown.status, shown.headers.get('location')]).toEqual([302, 'http://localhost/'])
    expect(elsewhere.accepted()).toBe(0)
  })

  it.each(['gzip', 'br', 'identity, gzip'])('one encoded with %s', async (encoding) => {
    const { fetch } = bind(
      transportTo(
        await listenHttp((_, response) =>
          response.setHeader('content-encoding', encoding).end(gzipSync('x'.repeat(9_999))),
        ),
      ),
    )
    expect(await failure(fetch('/'))).toMatchObject(agentFailed({ status: 200, sent: true, partial: false }))
  })

  it('but one that says it is not encoded is', async () => {
    const { fetch } = bind(
      transportTo(
        await answering('HTTP/1.1 200 OK\r\ncontent-encoding: Identity\r\ncontent-length: 2\r\n\r\nok'),
      ),
    )
    expect(await (await fetch('/')).text()).toBe('ok')
  })

  it.each([407, 421, 700])('status %d, which fetch would not hand over', async (status) => {
    const agent = await answering(`HTTP/1.1 ${status} What\r\ncontent-length: 0\r\n\r\n`)
    const { fetch } = bind(transportTo(agent))
    expect(await failure(fetch('/', { method: 'POST', body: 'once' }))).toMatchObject(agentFailed({ status }))
    expect(agent.accepted()).toBe(1)
  })

  it('10 MB of headers', async () => {
    const { fetch } = bind(
      transportTo(await answering(`HTTP/1.1 200 OK\r\nx: ${'y'.repeat(10_000_000)}\r\n\r\n`)),
    )
    expect(await failure(fetch('/'))).toMatchObject({
      code: 'TOO_LARGE',
      tenant: 'user-42',
      details: { what: 'headers', limit: 16_384 },
    })
  })

  it('more headers than are allowed here', async () => {
    const { fetch } = bind(
      transportTo(await answering(`HTTP/1.1 200 OK\r\n${'x: y\r\n'.repeat(100)}\r\n`), {
        limits: { headerBytes: 100 },
      }),
    )
    expect(await failure(fetch('/'))).toMatchObject({ code: 'TOO_LARGE', details: { limit: 100 } })
  })

  it('a body that is announced as too large', async () => {
    const { fetch } = bind(
      transportTo(await answering('HTTP/1.1 200 OK\r\ncontent-length: 101\r\n\r\n'), {
        limits: { bodyBytes: 100 },
      }),
    )
    expect(await failure(fetch('/'))).toMatchObject({
      code: 'TOO_LARGE',
      details: { bytes: 101, limit: 100 },
    })
    expect((await fetch('/', { method: 'HEAD' })).headers.get('content-length')).toBe('101')
  })

  it('a body that turns out too large', async () => {
    const endless = await listenHttp((_, response) => {
      const go = (): void => {
        while (response.write('y'.repeat(1_000)));
      }
      response.on('drain', go)
      go()
    })
    const { fetch } = bind(transportTo(endless, { limits: { bodyBytes: 100_000 } }))
    const response = await fetch('/')
    expect(await failure(response.text())).toMatchObject({
      code: 'TOO_LARGE',
      tenant: 'user-42',
      details: { limit: 100_000 },
    })
  })

  it.each([
    ['no HTTP', 'SSH-2.0-OpenSSH_9.2\r\n'],
    ['a lie about its length', 'HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n'],
    [
      'an upgrade nobody asked for',
      'HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n',
    ],
  ])('%s', async (_what, bytes) => {
    const { fetch } = bind(transportTo(await answering(bytes)))
    expect(await failure(fetch('/'))).toMatchObject(agentFailed({ sent: true, partial: false }))
  })

  it('interim answers without end', async () => {
    const { fetch } = bind(
      transportTo(await answering('HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n'.repeat(1_000))),
    )
    expect(await failure(fetch('/'))).toMatchObject(agentFailed({ sent: true, partial: false }))
  })

  it('no answer at all', async () => {
    const { fetch } = bind(
      transportTo(await listenRaw((socket) => socket.once('data', () => socket.destroy()))),
    )
    expect(await failure(fetch('/'))).toMatchObject(agentFailed({ sent: true, partial: false }))
  })

  it.each([
    ['cut before its length', 'HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf'],
    ['cut in a chunk', 'HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nha'],
    ['cut between chunks', 'HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nhalf\r\n'],
  ])('one %s', async (_what, bytes) => {
    const { fetch } = bind(
      transportTo(await listenRaw((socket) => socket.once('data', () => socket.end(bytes)))),
    )
    const response = await fetch('/')
    expect(await failure(response.text())).toMatchObject(
      agentFailed({ status: 200, sent: true, partial: true }),
    )
  })
})

describe('time', () => {
  /** An agent that writes what and when the test says. */
  async function driven(options: Partial<TransportOptions> = {}) {
    const clock = testClock()
    const asked = withResolvers<Duplex>()
    const agent = await listenRaw((socket) => socket.once('data', () => asked.resolve(socket)))
    return { clock, asked: asked.promise, agent, ...bind(transportTo(agent, { clock, ...options })) }
  }
  const late = (afterMs: number) => ({ code: 'TIMEOUT', tenant: 'user-42', details: { afterMs } })

  it('for the head of the answer is not renewed by a drip of it', async () => {
    const { fetch, asked, clock } = await driven({ timeouts: { ...timeouts, firstByte: 1_000 } })
    const failed = failure(fetch('/'))
    const socket = await asked
    socket.write('HTTP/1.1 200 OK\r\nx: ')
    for (let drop = 0; drop < 9; drop++) {
      socket.write('y')
      await clock.advance(100)
    }
    expect(await Promise.race([failed, turn('waiting')])).toBe('waiting')
    await clock.advance(100)
    expect(await failed).toMatchObject(late(1_000))
  })

  it('for the head of the answer is not renewed by interim answers', async () => {
    const { fetch, asked, clock } = await driven({ timeouts: { ...timeouts, firstByte: 1_000 } })
    const failed = failure(fetch('/'))
    const socket = await asked
    for (let drop = 0; drop < 10; drop++) {
      socket.write('HTTP/1.1 103 Early Hints\r\n\r\n')
      await clock.advance(100)
    }
    expect(await failed).toMatchObject(late(1_000))
  })

  it('between pieces of the body is bounded, and renewed by each', async () => {
    const { fetch, asked, clock } = await driven({ timeouts: { ...timeouts, silence: 1_000 } })
    const answer = fetch('/')
    const socket = await asked
    socket.write('HTTP/1.1 200 OK\r\n\r\n')
    const reader = bodyOf(await answer)
    for (let piece = 0; piece < 3; piece++) {
      await clock.advance(900)
      socket.write('piece')
      expect(String(Buffer.from((await reader.read()).value ?? []))).toBe('piece')
    }
    const failed = failure(reader.read())
    await clock.advance(999)
    expect(await Promise.race([failed, turn('waiting')])).toBe('waiting')
    await clock.advance(1)
    expect(await failed).toMatchObject(late(1_000))
  })

  it('that the reader takes is not the agent’s', async () => {
    const { fetch, asked, clock } = await driven({ timeouts: { ...timeouts, silence: 1_000 } })
    const answer = fetch('/')
    const socket = await asked
    const sent = 4 * 1024 * 1024
    socket.write(`HTTP/1.1 200 OK\r\ncontent-length: ${sent}\r\n\r\n`)
    socket.write(Buffer.alloc(sent))
    const response = await answer
    await clock.advance(10_000)
    expect((await response.arrayBuffer()).byteLength).toBe(sent)
  })

  it('in all is bounded whatever the agent drips', async () => {
    const { fetch, asked, clock } = await driven()
    const answer = fetch('/', { timeout: 1_000 })
    const socket = await asked
    socket.write('HTTP/1.1 200 OK\r\n\r\n')
    const failed = failure((await answer).text())
    for (let drop = 0; drop < 10; drop++) {
      socket.write('y')
      await clock.advance(100)
    }
    expect(await failed).toMatchObject(late(1_000))
    expect(clock.pending).toEqual([])
  })

  it('leaves no timer behind an answer', async () => {
    const clock = testClock()
    const { fetch } = bind(transportTo(await listenHttp((_, response) => response.end('ok')), { clock }))
    await (await fetch('/', { timeout: 1_000 })).text()
    expect(clock.pending).toEqual([])
  })

  it('for a connection is bounded, even when the dial does not heed its signal', async () => {
    const clock = testClock()
    const agent = await listenRaw(() => undefined)
    let proceed = (): void => undefined
    const stream = new Promise<void>((resolve) => {
      proceed = resolve
    }).then(() => agent.dial())
    const { fetch } = bind(transportTo({ dial: () => stream }, { clock }))
    const failed = failure(fetch('/'))
    await clock.advance(5_000)
    expect(await failed).toMatchObject({ code: 'TIMEOUT', tenant: 'user-42', details: { afterMs: 5_000 } })
    proceed()
    const late = await stream
    await vi.waitUntil(() => late.destroyed)
  })

  it('may be unbounded', async () => {
    const { fetch, asked, clock } = await driven({
      timeouts: { connect: false, firstByte: false, silence: false },
    })
    const answer = fetch('/')
    const socket = await asked
    expect(clock.pending).toEqual([])
    socket.end('HTTP/1.1 200 OK\r\n\r\nok')
    expect(await (await answer).text()).toBe('ok')
  })
})

describe('a connection', () => {
  it('that cannot be made has sent nothing', async () => {
    const directory = tempDirectory()
    const dial = (signal?: AbortSignal) => dialUnixSocket(directory, 'agent.sock', { signal })
    const { fetch } = bind(transportTo({ dial }))
    const error = await failure(fetch('/', { method: 'POST', body: 'hello' }))
    expect(error).toMatchObject(agentFailed({ sent: false, partial: false }))
    expect(error.cause).toMatchObject({ code: 'ENOENT' })
    expect(error.message).toContain('"user-42"')
  })

  it('is not made through what the tenant put in the place of its socket', async () => {
    const agent = await listenHttp((_, response) => response.end('mine'))
    const stranger = await listenHttp((_, response) => response.end('the engine'))
    const { fetch } = bind(transportTo(agent))
    const path = join(agent.directory, agent.name)
    unlinkSync(path)
    symlinkSync(join(stranger.directory, stranger.name), path)
    expect(await failure(fetch('/'))).toMatchObject(agentFailed({ sent: false, partial: false }))
    expect(stranger.accepted()).toBe(0)
  })

  it('whose dial knows better says so itself', async () => {
    const error = new TenantBoxError('ENGINE_UNAVAILABLE', 'no engine', { endpoint: 'x', hint: 'y' })
    const { fetch } = bind(transportTo({ dial: () => Promise.reject(error) }))
    expect(await failure(fetch('/'))).toBe(error)
  })

  it('that is closed at once is no endless loop', async () => {
    const dial = vi.fn(async () => {
      const stream = await (await listenRaw(() => undefined)).dial()
      return stream.destroy()
    })
    const { fetch } = bind(transportTo({ dial }))
    expect(await failure(fetch('/'))).toMatchObject(agentFailed({ sent: false, partial: false }))
    expect(dial).toHaveBeenCalledTimes(1)
  })

  it('that was closed while idle is made anew', async () => {
    const connections: Duplex[] = []
    const agent = await listenHttp((_, response) => response.end('ok'))
    agent.server.on('connection', (socket) => connections.push(socket))
    const { fetch } = bind(transportTo(agent))
    await (await fetch('/')).text()
    connections[0]?.end()
    if (connections[0]) await once(connections[0], 'close')
    expect(await (await fetch('/')).text()).toBe('ok')
    expect(agent.accepted()).toBe(2)
  })
})

describe('a caller that gives up', () => {
  const reason = new Error('enough')

  it('before it begins', async () => {
    const agent = await listenRaw(() => undefined)
    const { fetch } = bind(transportTo(agent))
    expect(await failure(fetch('/', { signal: AbortSignal.abort(reason) }))).toBe(reason)
    expect(agent.accepted()).toBe(0)
  })

  it('while the connection is made', async () => {
    const { fetch } = bind(transportTo({ dial: () => new Promise(() => undefined) }))
    const caller = new AbortController()
    const failed = failure(fetch('/', { signal: caller.signal }))
    await turn()
    caller.abort(reason)
    expect(await failed).toBe(reason)
  })

  it('while the agent thinks', async () => {
    const { agent, asked, gone } = agentThatSeesItGo()
    const { fetch } = bind(transportTo(await agent))
    const caller = new AbortController()
    const failed = failure(fetch('/', { signal: caller.signal }))
    await asked
    caller.abort(reason)
    expect(await failed).toBe(reason)
    await gone
  })

  it('in the middle of the body, also after a garbage collection', async () => {
    setFlagsFromString('--expose-gc')
    const collectGarbage: () => void = runInNewContext('gc')
    const { agent, gone } = agentThatSeesItGo('HTTP/1.1 200 OK\r\n\r\nhalf')
    const { fetch } = bind(transportTo(await agent))
    const caller = new AbortController()
    const reader = bodyOf(await fetch('/', { signal: caller.signal }))
    await reader.read()
    for (let n = 0; n < 3; n++) {
      collectGarbage()
      await turn()
    }
    const failed = failure(reader.read())
    caller.abort(reason)
    expect(await failed).toBe(reason)
    await gone
  })

  it('by cancelling the body', async () => {
    const { agent, gone } = agentThatSeesItGo('HTTP/1.1 200 OK\r\n\r\nhalf')
    const { fetch } = bind(transportTo(await agent))
    await (await fetch('/')).body?.cancel()
    await gone
  })
})

describe('close', () => {
  it('fails what is under way and what comes later with its reason', async () => {
    const { agent, asked, gone } = agentThatSeesItGo()
    const transport = transportTo(await agent)
    const failed = failure(transport.fetch('/'))
    await asked
    const reason = new TenantBoxError('STALE_BOX', 'over', { generation: 1, reason: 'idle' })
    await Promise.all([transport.close(reason), transport.close()])
    expect(await failed).toBe(reason)
    expect(await failure(transport.fetch('/'))).toBe(reason)
    await gone
  })

  it('fails bodies under way', async () => {
    const { agent } = agentThatSeesItGo('HTTP/1.1 200 OK\r\n\r\nhalf')
    const transport = transportTo(await agent)
    const reader = bodyOf(await transport.fetch('/'))
    await reader.read()
    const failed = failure(reader.read())
    await transport.close()
    expect(await failed).toMatchObject(agentFailed({ sent: false, partial: false }))
  })

  it('aborts dials under way', async () => {
    let dialled: AbortSignal | undefined
    const transport = transportTo({
      dial: (signal) => {
        dialled = signal
        return new Promise(() => undefined)
      },
    })
    const failed = failure(transport.fetch('/'))
    await turn()
    await transport.close()
    expect(dialled?.aborted).toBe(true)
    expect(await failed).toMatchObject(agentFailed({ sent: false, partial: false }))
  })

  it('leaves no descriptor behind, whatever happened', async () => {
    const agent = await listenHttp((request, response) => {
      if (request.url === '/redirect') response.writeHead(302, { location: '/' }).end()
      else if (request.url === '/cut')
        response.writeHead(200, { 'content-length': 10 }).write('half', () => response.destroy())
      else response.end('ok')
    })
    const before = openDescriptors()
    for (let round = 0; round < 10; round++) {
      const transport = openTransport({ tenant: 'user-42', dial: agent.dial, timeouts })
      const unread = await transport.fetch('/')
      const outcomes = await Promise.allSettled([
        transport.fetch('/redirect'),
        transport.fetch('/cut').then((response) => response.text()),
        transport.fetch('/').then((response) => response.text()),
      ])
      expect(outcomes.map(({ status }) => status)).toEqual(['rejected', 'rejected', 'fulfilled'])
      await transport.close()
      expect(unread.bodyUsed).toBe(false)
    }
    await vi.waitUntil(() => openDescriptors() <= before)
  })
})

/** So that `fetch` can be taken off it. */
function bind(transport: Transport): Pick<Transport, 'fetch'> {
  return { fetch: (path, init) => transport.fetch(path, init) }
}

function bodyOf({ body }: Response): ReadableStreamDefaultReader<Uint8Array> {
  if (!body) throw new Error('no body')
  return body.getReader()
}

/** An agent that answers so, and goes on until its client has gone. */
function agentThatSeesItGo(answer = '') {
  const asked = withResolvers<void>()
  const gone = withResolvers<void>()
  const agent = listenRaw((socket) => {
    socket.once('data', () => {
      asked.resolve()
      socket.write(answer)
    })
    socket.once('close', () => gone.resolve())
    // An end of the other side's is all that tells.
    socket.once('end', () => socket.end())
  })
  return { agent, asked: asked.promise, gone: gone.promise }
}

function withResolvers<T>() {
  let resolve: (value: T) => void = () => undefined
  const promise = new Promise<T>((settle) => {
    resolve = settle
  })
  return { promise, resolve }
}
