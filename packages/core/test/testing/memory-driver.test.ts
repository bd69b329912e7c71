import type { Socket } from 'node:net'
import { text } from 'node:stream/consumers'
import { setImmediate } from 'node:timers/promises'
import { MemoryEngine, memoryDriver } from '@tenantbox/core/testing'
import { Agent } from 'undici'
import { afterEach, describe, expect, it } from 'vitest'
import type { BoxRef, Driver } from '../../src/driver.js'
import { all, identityOf, opened, SPEC } from './fixtures.js'

const agents: Agent[] = []

afterEach(async () => {
  for (const agent of agents.splice(0)) await agent.destroy()
})

/** Fetches as the pool's transport does: undici over what `dial` gives. */
function client(driver: Driver, ref: BoxRef): (path: string, init?: RequestInit) => Promise<Response> {
  const agent = new Agent({
    connect(_options, done) {
      driver.dial(ref).then(
        (connection) => done(null, connection as Socket),
        (error) => done(error, null),
      )
    },
  })
  agents.push(agent)
  return (path, init) => fetch(`http://box${path}`, { ...init, dispatcher: agent } as object)
}

async function started(driver: Driver): Promise<BoxRef> {
  await opened(driver)
  const ref = await driver.create(identityOf('ann'), SPEC)
  await driver.start(ref)
  return ref
}

describe('memoryDriver', () => {
  it('survives a connection that breaks before it is handed over', async () => {
    const engine = new MemoryEngine()
    const driver = engine.driver()
    const ref = await started(driver)
    const dialled = engine.faults.hold('dial', { at: 'after' })
    const dialling = driver.dial(ref)
    await dialled.reached
    engine.box('ann')?.kill()
    await setImmediate()
    dialled.release()
    expect((await dialling).destroyed).toBe(true)
  })

  it('answers by default as the agent contract says', async () => {
    const driver = memoryDriver()
    const request = client(driver, await started(driver))
    expect((await request('/healthz')).status).toBe(200)
    const answer = await request('/message', { method: 'POST', body: JSON.stringify({ text: 'héllo' }) })
    expect(await answer.text()).toBe('héllo')
    expect((await request('/elsewhere')).status).toBe(404)
  })

  it('hands requests to the agent, with the tenant and its environment', async () => {
    const driver = memoryDriver({
      agent: (request, { tenant, env }) =>
        new Response(`${request.method} ${new URL(request.url).pathname} of ${tenant} in ${env.HOME}`, {
          status: 201,
          headers: [
            ['set-cookie', 'a=1'],
            ['set-cookie', 'b=2'],
          ],
        }),
    })
    const answer = await client(driver, await started(driver))('/x?y', { method: 'DELETE' })
    expect(answer.status).toBe(201)
    expect(answer.headers.getSetCookie()).toEqual(['a=1', 'b=2'])
    expect(await answer.text()).toBe('DELETE /x of ann in /data/ann/workspace')
  })

  it('streams an answer', async () => {
    let more: (text: string | undefined) => void = () => undefined
    const driver = memoryDriver({
      agent: () =>
        new Response(
          new ReadableStream({
            start(controller) {
              const encoder = new TextEncoder()
              more = (text) =>
                text === undefined ? controller.close() : controller.enqueue(encoder.encode(text))
            },
          }),
        ),
    })
    const answer = await client(driver, await started(driver))('/')
    const reader = answer.body?.pipeThrough(new TextDecoderStream()).getReader()
    more('one')
    expect(await reader?.read()).toMatchObject({ value: 'one' })
    more('two')
    expect(await reader?.read()).toMatchObject({ value: 'two' })
    more(undefined)
    expect(await reader?.read()).toMatchObject({ done: true })
  })

  it('tells the agent when its caller goes away', async () => {
    const controller = new AbortController()
    const gone = new Promise<void>((resolve) => {
      const driver = memoryDriver({
        agent: (request) => {
          request.signal.addEventListener('abort', () => resolve())
          controller.abort(new Error('enough'))
          return new Promise<never>(() => undefined)
        },
      })
      void started(driver).then((ref) =>
        expect(client(driver, ref)('/', { signal: controller.signal })).rejects.toThrow('enough'),
      )
    })
    await gone
  })

  it('answers 500 for an agent that throws, and logs why', async () => {
    const driver = memoryDriver({
      agent: () => {
        throw new Error('no model')
      },
    })
    const ref = await started(driver)
    expect((await client(driver, ref)('/')).status).toBe(500)
    expect(await all(driver.logs(ref))).toMatchObject([{ stream: 'stderr', text: 'no model' }])
  })

  it('accepts but does not answer while paused', async () => {
    const driver = memoryDriver()
    const ref = await started(driver)
    await driver.pause(ref)
    let answered = false
    const answer = client(
      driver,
      ref,
    )('/healthz').finally(() => {
      answered = true
    })
    const connection = await driver.dial(ref)
    // A full turn through another box: whatever could answer has had its time.
    const other = memoryDriver()
    await client(other, await started(other))('/healthz')
    expect(answered).toBe(false)
    await driver.resume(ref)
    expect((await answer).status).toBe(200)
    connection.destroy()
  })

  it('cuts the connections of a box that stops, also of a paused one, and refuses new ones', async () => {
    const driver = memoryDriver({ agent: () => new Promise<never>(() => undefined) })
    const ref = await started(driver)
    const answer = client(driver, ref)('/')
    await driver.pause(ref)
    await Promise.all([expect(answer).rejects.toThrow('fetch failed'), driver.stop(ref, { graceMs: 1_000 })])
    await expect(driver.dial(ref)).rejects.toMatchObject({ code: 'ECONNREFUSED' })
  })

  it('runs commands by the exec that it was given', async () => {
    const driver = memoryDriver({
      exec: async ({ stdin, stdout, stderr, env, cwd }, [name]) => {
        for await (const chunk of stdin) stdout.write(`${name} ${chunk} ${env.X} ${cwd}`)
        stderr.write('done')
        return 3
      },
    })
    const ref = await started(driver)
    await using process = await driver.spawn(ref, { command: ['count'], env: { X: 'x' } })
    process.stdin.end('input')
    expect(await text(process.stdout)).toBe('count input x /data/ann/workspace')
    expect(await text(process.stderr)).toBe('done')
    expect(await process.exited).toBe(3)
  })

  it('has no commands unless it was given some', async () => {
    const driver = memoryDriver()
    await using process = await driver.spawn(await started(driver), { command: ['ls'] })
    expect(await process.exited).toBe(127)
    expect(await text(process.stderr)).toBe('ls: not found\n')
  })

  it('ends a box with its own process, and logs what that said', async () => {
    const driver = memoryDriver({
      main: ({ stdout, stderr }) => {
        stdout.write('one\ntw')
        stdout.write('o')
        stderr.write('broken\n')
        return 7
      },
    })
    const ref = await opened(driver).then(() => driver.create(identityOf('ann'), SPEC))
    const events = await driver.watch({ signal: AbortSignal.timeout(10_000) })
    await driver.start(ref)
    for await (const event of events) if (event.type === 'died') break
    expect(await driver.inspect(ref)).toMatchObject({ state: 'stopped', exit: { code: 7, oom: false } })
    const lines = await all(driver.logs(ref))
    expect(lines.map(({ stream, text }) => `${stream} ${text}`).sort()).toEqual([
      'stderr broken',
      'stdout one',
      'stdout two',
    ])
  })

  it('makes no second box of a tenant: of the same spec it is the first, of another it is refused', async () => {
    const driver = await opened(memoryDriver())
    const ref = await driver.create(identityOf('ann'), SPEC)
    expect(await driver.create(identityOf('ann'), SPEC)).toEqual(ref)
    const other = driver.create({ ...identityOf('ann'), spec: 'spec-2' }, SPEC)
    await expect(other).rejects.toMatchObject({ code: 'START_FAILED', details: { phase: 'create' } })
    expect(await driver.list()).toHaveLength(1)
  })

  it('refuses connections where nothing listens', async () => {
    const driver = memoryDriver({ agent: false })
    await expect(driver.dial(await started(driver))).rejects.toMatchObject({ code: 'ECONNREFUSED' })
  })
})
