import type { RequestListener } from 'node:http'
import { setImmediate as turn } from 'node:timers/promises'
import { describe, expect, it, vi } from 'vitest'
import { systemClock } from '../src/clock.js'
import type { BoxExit } from '../src/driver.js'
import { TenantBoxError } from '../src/errors.js'
import { isBusy, type Readiness, type StartedBox, waitUntilReady } from '../src/readiness.js'
import { testClock } from '../src/testing/test-clock.js'
import { openTransport } from '../src/transport.js'
import { dialUnixSocket } from '../src/unix-socket.js'
import { afterwards, listenHttp, listenRaw, tempDirectory } from './sockets.js'

const never = new AbortController().signal

/** A box that does nothing but what the test says. */
function box(given: Partial<StartedBox> = {}): StartedBox {
  const nothing = () => Promise.reject(new Error('nobody is there'))
  return {
    tenant: 'user-42',
    fetch: nothing,
    knock: () => Promise.resolve(),
    dial: nothing,
    health: nothing,
    // biome-ignore lint/correctness/useYield: a log without a line
    logs: async function* () {
      await nothing()
    },
    exited: new Promise(() => undefined),
    ...given,
  }
}

/** A box whose agent listens on a real socket in `directory`, now or later. */
function boxIn(directory: string): StartedBox {
  const dial = (signal?: AbortSignal) => dialUnixSocket(directory, 'agent.sock', { signal })
  const timeouts = { connect: false, firstByte: false, silence: false } as const
  const transport = openTransport({ tenant: 'user-42', dial, timeouts })
  afterwards(() => transport.close())
  return box({
    fetch: (path, init) => transport.fetch(path, init),
    knock: (signal) => transport.knock(signal),
    dial: (_port, signal) => dial(signal),
  })
}

function wait(probe: Readiness, target: StartedBox, signal: AbortSignal = never) {
  const clock = testClock()
  let state: 'waiting' | 'ready' | 'failed' = 'waiting'
  const done = waitUntilReady(probe, target, { signal, clock })
  done.then(
    () => {
      state = 'ready'
    },
    () => {
      state = 'failed'
    },
  )
  return { clock, done, state: () => state }
}

const soon = { signal: AbortSignal.timeout(20_000), clock: systemClock }

describe('agent', () => {
  it('is ready once /healthz is answered with 200', async () => {
    const directory = tempDirectory()
    const asked: (string | undefined)[] = []
    const ready = waitUntilReady('agent', boxIn(directory), soon)
    await turn()
    let status = 503
    await listenHttp((request, response) => {
      asked.push(request.url)
      response.writeHead(status).end('{}')
      status = 200
    }, directory)
    await ready
    expect(asked).toEqual(['/healthz', '/healthz'])
  })

  it('is not ready because a connection was taken, and is asked again', async () => {
    const directory = tempDirectory()
    let asked = 0
    await listenRaw((socket) => {
      socket.once('data', () => {
        asked++
        // The third one is answered.
        if (asked === 3) socket.end('HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n')
      })
    }, directory)
    const { clock, done, state } = wait('agent', boxIn(directory))
    await vi.waitUntil(() => asked === 1)
    await clock.advance(1_000)
    await clock.advance(250)
    await vi.waitUntil(() => asked === 2)
    expect(state()).toBe('waiting')
    // Each attempt is given more time than the one before.
    await clock.advance(1_799)
    await turn()
    expect(asked).toBe(2)
    await clock.advance(300)
    await done
    expect(asked).toBe(3)
    expect(clock.pending).toEqual([])
  })

  it('is asked often at first and then less so', async () => {
    const at: number[] = []
    const { clock, state } = wait(
      'agent',
      box({
        fetch: () => {
          at.push(clock?.monotonic() ?? 0)
          return Promise.reject(new Error('not yet'))
        },
      }),
    )
    await clock.advance(20_000)
    const pauses = at.slice(1).map((time, index) => time - (at[index] ?? 0))
    expect(pauses[0]).toBe(5)
    expect(Math.max(...pauses)).toBe(250)
    // Nobody ever waits more than a twentieth longer than it took.
    for (const [index, pause] of pauses.entries())
      expect(pause).toBeLessThanOrEqual(Math.max(5, (at[index] ?? 0) / 20) + 0.001)
    expect(state()).toBe('waiting')
  })

  it('is not ready because of a redirect', async () => {
    const { dial } = await listenHttp((_, response) => response.writeHead(302, { location: '/' }).end())
    const transport = openTransport({
      tenant: 'user-42',
      dial,
      timeouts: { connect: false, firstByte: false, silence: false },
    })
    afterwards(() => transport.close())
    let attempts = 0
    const fetch: StartedBox['fetch'] = (path, init) => {
      attempts++
      return transport.fetch(path, init)
    }
    const caller = new AbortController()
    const ready = waitUntilReady('agent', box({ fetch }), { signal: caller.signal, clock: systemClock })
    await vi.waitUntil(() => attempts > 2)
    caller.abort('enough')
    await expect(ready).rejects.toBe('enough')
  })
})

describe('started', () => {
  it('is ready after 250 ms', async () => {
    const { clock, done, state } = wait('started', box())
    await clock.advance(249)
    expect(state()).toBe('waiting')
    await clock.advance(1)
    await done
  })

  it('is not when it has exited by then', async () => {
    const { clock, done } = wait('started', box({ exited: Promise.resolve({ code: 127, oom: false }) }))
    const failed = done.catch((error: unknown) => error)
    await clock.advance(250)
    expect(await failed).toMatchObject({ code: 'START_FAILED', details: { code: 127, phase: 'ready' } })
  })
})

describe('healthcheck', () => {
  it('is ready once the engine says so', async () => {
    const states = ['starting', 'unhealthy', 'healthy'] as const
    let asked = 0
    const { clock, done } = wait('healthcheck', box({ health: async () => states[asked++] ?? 'starting' }))
    await clock.advance(49)
    expect(asked).toBe(1)
    await clock.advance(51)
    await done
    expect(asked).toBe(3)
  })
})

describe('http', () => {
  const answering = (listener: RequestListener) => listenHttp(listener)

  it.each([200, 204])('is ready at status %d', async (status) => {
    const { directory } = await answering((_, response) => response.writeHead(status).end())
    await waitUntilReady({ http: '/up' }, boxIn(directory), soon)
  })

  it('is not ready at another status, or another path', async () => {
    const asked: (string | undefined)[] = []
    const { directory } = await answering((request, response) => {
      asked.push(request.url)
      response.writeHead(asked.length < 3 ? 404 : 200).end()
    })
    await waitUntilReady({ http: '/up?deep=1' }, boxIn(directory), soon)
    expect(asked).toEqual(['/up?deep=1', '/up?deep=1', '/up?deep=1'])
  })
})

describe('port', () => {
  it('is ready once it takes a connection, which is closed again', async () => {
    const directory = tempDirectory()
    const ready = waitUntilReady({ port: 80 }, boxIn(directory), soon)
    await turn()
    const closed = new Promise<void>((resolve) => {
      void listenRaw(
        (socket) => socket.resume().once('end', () => resolve(socket.end() && undefined)),
        directory,
      )
    })
    await ready
    await closed
  })
})

describe('log', () => {
  const logging = (...lines: string[]): Partial<StartedBox> => ({
    logs: async function* (signal) {
      for (const text of lines) yield { text }
      await new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason)))
    },
  })

  it.each([
    ['a string in a line', 'is up'],
    ['an expression', /^agent .* up$/],
    ['an expression that remembers where it was', /up/g],
    ['an expression that sticks', /agent/y],
  ])('is ready at %s', async (_what, log) => {
    await waitUntilReady({ log }, box(logging('booting', 'agent is up')), {
      signal: never,
      clock: testClock(),
    })
    if (typeof log !== 'string') expect(log.lastIndex).toBe(0)
  })

  it('looks at one line at a time', async () => {
    const caller = new AbortController()
    const { done, clock } = wait({ log: /a.*b/s }, box(logging('a', 'b')), caller.signal)
    await clock.advance(60_000)
    caller.abort('enough')
    await expect(done).rejects.toBe('enough')
  })

  it('is opened again when it breaks off', async () => {
    let opened = 0
    const { clock, done } = wait(
      { log: 'up' },
      box({
        logs: async function* () {
          opened++
          yield { text: 'booting' }
          if (opened === 3) yield { text: 'up' }
        },
      }),
    )
    await clock.advance(1_000)
    await done
    expect(opened).toBe(3)
  })
})

describe('a probe of one’s own', () => {
  it('is asked until it says so', async () => {
    let asked = 0
    const { clock, done } = wait(async () => ++asked === 3, box())
    await clock.advance(1_000)
    await done
    expect(asked).toBe(3)
  })

  it('has what it asks ended with its attempt', async () => {
    const signals: (AbortSignal | null | undefined)[] = []
    const { clock } = wait(
      async (target) => (await target.fetch('/deep')).ok,
      box({
        fetch: (_path, init) => {
          signals.push(init?.signal)
          return new Promise(() => undefined)
        },
      }),
    )
    await clock.advance(1_000)
    expect(signals[0]?.aborted).toBe(true)
  })

  it.each([
    ['throws', () => Promise.reject(new Error('the model is loading')), 'the model is loading'],
    [
      'throws at once',
      () => {
        throw new Error('the model is loading')
      },
      'the model is loading',
    ],
    ['says no', async () => false, 'not yet'],
    ['says neither', async () => 'yes' as never, 'not yet'],
  ])('that %s means not yet, and is told in the end', async (_what, probe, why) => {
    const caller = new AbortController()
    const { clock, done } = wait(probe, box(), caller.signal)
    await clock.advance(10_000)
    caller.abort(
      new TenantBoxError(
        'TIMEOUT',
        'too late.',
        { operation: 'wake', afterMs: 10_000 },
        { tenant: 'user-42' },
      ),
    )
    await expect(done).rejects.toMatchObject({
      code: 'TIMEOUT',
      tenant: 'user-42',
      details: { operation: 'wake', afterMs: 10_000 },
      message: expect.stringContaining(why),
      cause: { message: expect.stringContaining(why) },
    })
    expect(clock.pending).toEqual([])
  })
})

describe('the wait', () => {
  it.each<[string, Readiness]>([
    ['agent', 'agent'],
    ['healthcheck', 'healthcheck'],
    ['http', { http: '/' }],
    ['port', { port: 80 }],
    ['log', { log: 'up' }],
    ['probe', () => new Promise(() => undefined)],
  ])('ends at once when the box dies (%s)', async (_what, probe) => {
    const hang = () => new Promise<never>(() => undefined)
    let die: (exit: BoxExit) => void = () => undefined
    const exited = new Promise<BoxExit>((resolve) => {
      die = resolve
    })
    const logs = async function* () {
      yield { text: 'booting' }
      await hang()
    }
    const { done, clock } = wait(probe, box({ fetch: hang, dial: hang, health: hang, logs, exited }))
    await clock.advance(0)
    die({ code: 1, oom: true })
    await expect(done).rejects.toMatchObject({
      code: 'START_FAILED',
      tenant: 'user-42',
      details: { phase: 'ready', code: 1, oom: true },
    })
    expect(clock.pending).toEqual([])
  })

  it('ends with the reason of its signal', async () => {
    const caller = new AbortController()
    const { clock, done } = wait('agent', box(), caller.signal)
    await clock.advance(100)
    const reason = new Error('enough')
    caller.abort(reason)
    await expect(done).rejects.toBe(reason)
    expect(clock.pending).toEqual([])
  })

  it('does not begin after that', async () => {
    const fetch = vi.fn()
    await expect(wait('agent', box({ fetch }), AbortSignal.abort('enough')).done).rejects.toBe('enough')
    expect(fetch).not.toHaveBeenCalled()
  })
})

describe('isBusy', () => {
  const asking = async (listener: RequestListener, signal = never) => {
    const { directory } = await listenHttp(listener)
    return isBusy(boxIn(directory).fetch, signal)
  }

  it.each([
    ['{"busy":true}', 200, true],
    ['{"busy":false}', 200, false],
    ['{"busy":"true"}', 200, false],
    ['{}', 200, false],
    ['null', 200, false],
    ['ok', 200, false],
    ['', 200, false],
    ['{"busy":true}', 503, false],
    [`{"busy":true,"x":"${'x'.repeat(100_000)}"}`, 200, false],
  ])('of %.30s with status %d is %s', async (body, status, busy) => {
    expect(await asking((_, response) => response.writeHead(status).end(body))).toBe(busy)
  })

  it('is not when nobody answers', async () => {
    expect(await isBusy(boxIn(tempDirectory()).fetch, never)).toBe(false)
  })

  it('rejects when it is aborted', async () => {
    const caller = new AbortController()
    const asked = asking(() => caller.abort('enough'), caller.signal)
    await expect(asked).rejects.toBe('enough')
  })
})
