import { describe, expect, it } from 'vitest'
import { testClock } from '../../src/testing/index.js'
import { failure, next, of, path, setup } from './helpers.js'

describe('waking', () => {
  it('makes one box and one ready event of fifty calls for a new tenant', async () => {
    const { pool, engine, events } = await setup()
    const boxes = await Promise.all(Array.from({ length: 50 }, () => pool.ensure('a')))
    expect(new Set(boxes.map((box) => box.generation))).toEqual(new Set([1]))
    expect(engine.calls('create')).toBe(1)
    expect(engine.calls('start')).toBe(1)
    expect(of(events, 'ready')).toHaveLength(1)
    expect(of(events, 'ready')[0]).toMatchObject({ tenant: 'a', from: 'absent', generation: 1 })
    expect(path(events, 'a')).toBe('absent>creating(demand)>stopped(demand)>starting(demand)>running(demand)')
  })

  it('fails once for all who wait for it', async () => {
    const { pool, engine, events } = await setup()
    await pool.start()
    const starting = engine.faults.hold('start')
    const failures = Array.from({ length: 3 }, () => failure(pool.ensure('a'), 'START_FAILED'))
    await starting.reached
    starting.fail(new Error('odd'))
    const [first, ...others] = await Promise.all(failures)
    for (const other of others) expect(other).toBe(first)
    expect(engine.calls('start')).toBe(1)
    expect(of(events, 'transition').filter(({ to }) => to === 'starting')).toHaveLength(1)
  })

  it('asks the engine nothing for a running box', async () => {
    const { pool, engine } = await setup()
    await pool.ensure('a')
    const before = engine.calls()
    for (let i = 0; i < 1000; i++) await pool.ensure('a')
    expect(engine.calls()).toBe(before)
  })

  it('looks at no box that only comes up', async () => {
    const { pool, engine } = await setup()
    await pool.ensure('a')
    await pool.stop('a')
    await pool.ensure('a')
    expect(engine.calls('inspect')).toBe(0)
  })

  it('gives ids with a common beginning boxes of their own', async () => {
    const { pool, engine } = await setup()
    await Promise.all([pool.ensure('12345678-a'), pool.ensure('12345678-b')])
    expect(engine.boxes.map((box) => box.tenant).sort()).toEqual(['12345678-a', '12345678-b'])
  })

  it('says what is no tenant id before anything happens', async () => {
    const { pool, engine } = await setup()
    for (const id of ['', 'x'.repeat(300), 'a\0b']) await failure(pool.ensure(id), 'INVALID_TENANT')
    expect(engine.calls('create')).toBe(0)
    expect([...pool.list()]).toEqual([])
  })

  it('says what is no message before anything happens', async () => {
    const { pool, engine } = await setup()
    for (const message of [42, null, undefined, {}, { text: 1 }, ['hello']])
      await failure(pool.send('a', message as unknown as string).text(), 'INVALID_OPTION')
    expect(engine.calls('create')).toBe(0)
  })

  it('says what is no command, whatever the driver', async () => {
    const { pool, engine } = await setup()
    const box = await pool.ensure('a')
    for (const command of [[], 'ls', [1], undefined] as unknown as string[][]) {
      await failure(box.exec(command), 'INVALID_OPTION')
      await failure(box.spawn(command), 'INVALID_OPTION')
    }
    expect(engine.calls('spawn')).toBe(0)
    expect(pool.get('a')?.leases).toBe(0)
  })

  it('lets one caller give up without harm to the others', async () => {
    const { pool, engine } = await setup()
    const hold = engine.faults.hold('create')
    const impatient = new AbortController()
    const first = pool.ensure('a', { signal: impatient.signal })
    const second = pool.ensure('a')
    await hold.reached
    impatient.abort(new Error('no more'))
    await expect(first).rejects.toThrow('no more')
    hold.release()
    expect((await second).state).toBe('running')
    expect(engine.calls('create')).toBe(1)
  })

  it('gives up when the last caller does, and leaks nothing', async () => {
    const { pool, engine, events } = await setup()
    await pool.start()
    const hold = engine.faults.hold('start')
    const impatient = new AbortController()
    const call = pool.ensure('a', { signal: impatient.signal })
    await hold.reached
    impatient.abort(new Error('no more'))
    await expect(call).rejects.toThrow('no more')
    const settled = next(pool, 'transition', ({ to }) => to === 'stopped')
    hold.release()
    await settled
    expect(engine.box('a')?.state).toBe('stopped')
    expect(path(events, 'a')).toBe(
      'absent>creating(demand)>stopped(demand)>starting(demand)>stopping(requested)>stopped(requested)',
    )
    await pool.ensure('a')
    expect(engine.boxes).toHaveLength(1)
    expect(engine.maxLive('a')).toBe(1)
  })

  it('times a caller out without harm to the flight', async () => {
    const clock = testClock()
    const { pool, engine } = await setup({ clock })
    const hold = engine.faults.hold('create')
    const slow = failure(pool.ensure('a', { timeout: 100 }), 'TIMEOUT')
    const patient = pool.ensure('a')
    await hold.reached
    await clock.advance(100)
    expect((await slow).details).toEqual({ operation: 'ensure', afterMs: 100 })
    hold.release()
    await patient
  })
})

describe('leases', () => {
  it('come with each operation and end with it', async () => {
    const { pool, events } = await setup()
    expect(await pool.send('a', 'hello').text()).toBe('hello')
    const response = await pool.fetch('a', '/healthz')
    expect(await response.json()).toEqual({})
    await pool.use('a', async (box) => {
      expect(pool.get('a')?.leases).toBe(1)
      expect(await (await box.fetch('/healthz')).json()).toEqual({})
    })
    expect(pool.get('a')?.leases).toBe(0)
    expect(of(events, 'lease').map(({ outcome }) => outcome)).toEqual(Array(4).fill('released'))
  })

  it('carry every kind of request there is', async () => {
    const { pool } = await setup(
      {},
      {
        agent: async (request) =>
          new Response(`${request.method} ${request.headers.get('x-a')} ${await request.text()}`),
      },
    )
    const init = { method: 'PUT', headers: { 'x-a': 'b' }, body: 'text' }
    const form = new FormData()
    form.set('field', 'value')
    const stream = new Blob(['streamed']).stream()
    expect(await (await pool.fetch('a', '/', init)).text()).toBe('PUT b text')
    expect(await (await pool.fetch('a', '/', new Request('http://ignored/', init))).text()).toBe('PUT b text')
    expect(await (await pool.fetch('a', '/', { ...init, body: form })).text()).toContain('value')
    expect(await (await pool.fetch('a', '/', { ...init, body: stream })).text()).toBe('PUT b streamed')
    const box = await pool.ensure('a')
    expect(await (await box.fetch('/', new Request('http://ignored/', init))).text()).toBe('PUT b text')
  })

  it('wake nothing before an answer is read, and cancel when its reader leaves', async () => {
    const { pool, engine } = await setup(
      {},
      {
        agent: async (request) => {
          if (new URL(request.url).pathname === '/healthz') return Response.json({})
          const lines = new ReadableStream({
            start(controller) {
              controller.enqueue(new TextEncoder().encode('{"type":"text","text":"one"}\n'))
            },
          })
          return new Response(lines, { headers: { 'content-type': 'application/x-ndjson' } })
        },
      },
    )
    const unread = pool.send('a', 'hello')
    expect(engine.calls('create')).toBe(0)
    for await (const event of unread) {
      expect(event).toEqual({ type: 'text', text: 'one' })
      break
    }
    expect(pool.get('a')?.leases).toBe(0)
    expect(() => unread[Symbol.asyncIterator]()).toThrow(TypeError)
  })

  it('expire, with the signal aborted and the work’s caller told', async () => {
    const clock = testClock()
    const { pool, events } = await setup({ clock, timeouts: { lease: '1m' } })
    let seen: AbortSignal | undefined
    const work = failure(
      pool.use('a', (_, signal) => {
        seen = signal
        return new Promise(() => undefined)
      }),
      'LEASE_EXPIRED',
    )
    await next(pool, 'ready')
    await clock.advance(60_000)
    expect((await work).details).toEqual({ afterMs: 60_000 })
    expect(seen?.aborted).toBe(true)
    expect(of(events, 'lease').at(-1)?.outcome).toBe('expired')
    expect(pool.get('a')?.leases).toBe(0)
  })

  it('end when the box dies, with how it died', async () => {
    const { pool, engine, events } = await setup()
    const work = pool.use('a', () => {
      engine.box('a')?.kill({ code: 3 })
      return new Promise(() => undefined)
    })
    const { details } = await failure(work, 'STALE_BOX')
    expect(details).toMatchObject({ generation: 1, reason: 'exited', exit: { code: 3, oom: false } })
    expect(of(events, 'lease').at(-1)?.outcome).toBe('died')
    expect(pool.get('a')?.state).toBe('stopped')
    const back = await pool.ensure('a')
    expect(back.generation).toBe(2)
  })

  it('say so when memory was the reason', async () => {
    const { pool, engine, events } = await setup()
    await pool.ensure('a')
    const died = next(pool, 'transition', ({ to }) => to === 'stopped')
    engine.box('a')?.kill({ oom: true })
    expect(await died).toMatchObject({ reason: 'oom', exit: { oom: true } })
    expect(of(events, 'transition').at(-1)?.reason).toBe('oom')
  })

  it('can be held by hand, and never restart a life that has ended', async () => {
    const { pool, engine } = await setup()
    const lease = await pool.lease('a')
    const ended = next(pool, 'transition', ({ to }) => to === 'stopped')
    engine.box('a')?.kill()
    await ended
    await failure(lease.box.fetch('/healthz'), 'STALE_BOX')
    lease.release()
    lease.release()
    expect(engine.calls('start')).toBe(1)
  })

  it('are taken on a handle before its first await, so that no reaper comes between', async () => {
    const { pool, engine } = await setup({ idle: { stopAfter: 1 } })
    let stale = 0
    for (let round = 0; round < 100; round++) {
      const box = await pool.ensure('a')
      const answer = box.fetch('/healthz')
      await pool.reap()
      expect((await answer).status).toBe(200)
      if (engine.box('a')?.state !== 'running') stale++
    }
    expect(engine.maxLive('a')).toBe(1)
    expect(stale).toBeLessThan(100)
  })
})

describe('pause, stop and remove', () => {
  it('take a box down and back', async () => {
    const { pool, events } = await setup()
    await pool.ensure('a')
    await pool.pause('a')
    expect(pool.get('a')?.state).toBe('paused')
    const box = await pool.ensure('a')
    expect(box.generation).toBe(1)
    await pool.stop('a')
    expect(pool.get('a')?.state).toBe('stopped')
    await pool.remove('a')
    expect(pool.get('a')?.state).toBe('absent')
    await pool.ensure('a')
    expect(path(events, 'a')).toBe(
      'absent>creating(demand)>stopped(demand)>starting(demand)>running(demand)>pausing(requested)>paused(requested)' +
        '>resuming(demand)>running(demand)>stopping(requested)>stopped(requested)>removing(requested)>absent(requested)' +
        '>creating(demand)>stopped(demand)>starting(demand)>running(demand)',
    )
  })

  it('resume a paused box for an operation of a handle from before', async () => {
    const { pool } = await setup()
    const box = await pool.ensure('a')
    await pool.pause('a')
    expect((await box.fetch('/healthz')).status).toBe(200)
    expect(box.generation).toBe(1)
  })

  it('do nothing to a tenant without a box', async () => {
    const { pool, engine } = await setup()
    await pool.pause('a')
    await pool.stop('a')
    expect(await pool.remove('a')).toEqual({ leftBehind: [] })
    expect(engine.boxes).toEqual([])
  })

  it('wait for leases, and let later callers queue behind', async () => {
    const { pool, events } = await setup()
    const lease = await pool.lease('a')
    const stopped = pool.stop('a')
    const later = pool.use('a', (box) => box.generation)
    // The holder's own operations still pass: waiting for them is what the stop does.
    expect((await lease.box.fetch('/healthz')).status).toBe(200)
    expect(pool.get('a')?.state).toBe('running')
    lease.release()
    await stopped
    expect(await later).toBe(2)
    expect(path(events, 'a')).toContain(
      '>stopping(requested)>stopped(requested)>starting(demand)>running(demand)',
    )
  })

  it('give up waiting with BUSY, and leave everything as it was', async () => {
    const clock = testClock()
    const { pool } = await setup({ clock })
    const lease = await pool.lease('a')
    const busy = failure(pool.stop('a', { timeout: '5s' }), 'BUSY')
    await clock.advance(5_000)
    expect((await busy).details).toEqual({ leases: 1 })
    expect((await lease.box.fetch('/healthz')).status).toBe(200)
    expect((await pool.ensure('a')).generation).toBe(1)
  })

  it('abort leases when told to', async () => {
    const { pool } = await setup()
    const lease = await pool.lease('a')
    await pool.stop('a', { leases: 'abort' })
    expect(lease.signal.reason).toMatchObject({ code: 'STALE_BOX', details: { reason: 'requested' } })
    expect(pool.get('a')?.state).toBe('stopped')
  })

  it('delete the tenant’s files when told to', async () => {
    const { pool } = await setup()
    const { workspaceDir } = await pool.ensure('a')
    const { writeFile, access } = await import('node:fs/promises')
    await writeFile(`${workspaceDir}/MEMORY.md`, 'x')
    await pool.remove('a')
    await access(`${workspaceDir}/MEMORY.md`)
    expect(await pool.remove('a', { data: 'delete' })).toEqual({ leftBehind: [] })
    await expect(access(workspaceDir)).rejects.toThrow(/ENOENT/)
    expect(pool.get('a')).toBeUndefined()
    expect(pool.touch('a')).toBe(false)
    await pool.ensure('a')
    await access(workspaceDir)
  })
})
