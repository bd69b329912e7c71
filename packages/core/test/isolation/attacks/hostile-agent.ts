import { once } from 'node:events'
import { readdirSync, readFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { errnoOf } from '../../../src/errno.js'
import { slugOf } from '../../../src/identity.js'
import { type ErrorCode, isTenantBoxError, type TenantOverrides } from '../../../src/index.js'
import { dialUnixSocket } from '../../../src/unix-socket.js'
import { listenRaw } from '../../sockets.js'
import type { Isolation, IsolationOptions } from '../isolation.js'
import { Bystander } from '../load.js'

const SOURCE = readFileSync(new URL('../hostile-agent.mjs', import.meta.url), 'utf8')
export const HOSTILE = 'hostile:'

/** Tenants of these names have such an agent; otherwise a test would wait as long as an agent may take. */
export const HOSTILE_AGENTS = {
  perTenant: (tenant): TenantOverrides =>
    tenant.startsWith(HOSTILE)
      ? {
          box: {
            command: [
              '/bin/node',
              '--input-type=module',
              '-e',
              SOURCE,
              ...tenant.slice(HOSTILE.length).split('@'),
            ],
            ready: { log: 'at it' },
            stopGrace: '1s',
          },
        }
      : {},
  timeouts: { connect: '1s', firstByte: '1s', silence: '1s' },
} as const satisfies IsolationOptions

/** An agent that answers the gateway as no agent should. */
export function hostileAgentAttacks(world: () => Isolation): void {
  /** Asks an agent of this habit; its box is gone afterwards. */
  const ask = async <T = string>(
    habit: string,
    argument = '',
    use: (tenant: string) => Promise<T> = async (tenant) =>
      (await world().pool.fetch(tenant, '/', { timeout: habit === 'dripBody' ? '3s' : '20s' })).text() as T,
  ): Promise<T> => {
    const tenant = `${HOSTILE}${habit}@${argument}`
    try {
      await world().pool.ensure(tenant)
      return await use(tenant)
    } finally {
      await world().pool.remove(tenant, { data: 'delete', leases: 'abort' })
    }
  }
  const tell = (habit: string) =>
    ask(habit, '', async (tenant) => {
      const events: unknown[] = []
      for await (const event of world().pool.send(tenant, 'hello', { timeout: '10s' })) events.push(event)
      return events
    })
  /** Refused, and the victim does not notice. */
  const refused = async (asking: Promise<unknown>, code: ErrorCode) => {
    const error = await asking.then(
      (answer) => new Error(`answered with ${String(answer).slice(0, 200)}`),
      (failure: unknown) => failure,
    )
    if (!isTenantBoxError(error, code)) throw error
    expect(await (await world().pool.fetch('victim', '/ping')).text()).toBe('{}')
    return error
  }

  describe.concurrent("in place of the agent's socket, the gateway finds", () => {
    it("a symlink to the engine's socket, and does not follow it", async () => {
      const error = await refused(ask('symlink', world().engineSocket), 'AGENT_FAILED')
      expect(error.details).toMatchObject({ sent: false })
    })

    it("a symlink to another tenant's agent, and does not follow it", async () => {
      const target = join(world().dataDir, 'victim', 'run', 'agent.sock')
      expect((await refused(ask('symlink', target), 'AGENT_FAILED')).details).toMatchObject({ sent: false })
    })

    it('a symlink through the folder of its own mount, and does not follow it', async () => {
      await refused(ask('symlink', '../gateway/gateway.sock'), 'AGENT_FAILED')
    })

    it.each(['fifo', 'directory', 'file', 'nothing'])('%s, and neither hangs nor opens it', async (habit) => {
      expect((await refused(ask(habit), 'AGENT_FAILED')).details).toMatchObject({ sent: false })
    })
  })

  /** What became of thousands of attempts to connect, among which are `wanted`: otherwise the race was not on. */
  const dialed = async (run: string, wanted: readonly string[]) => {
    const outcomes = new Set<string | undefined>()
    const raced = () => wanted.every((outcome) => outcomes.has(outcome))
    for (let round = 0; round < 2_000 || (round < 100_000 && !raced()); round++) {
      const dialing = dialUnixSocket(run, 'agent.sock')
      outcomes.add(await dialing.then((socket) => socket.destroy() && 'connected', errnoOf))
    }
    expect([...outcomes]).toEqual(expect.arrayContaining([...wanted]))
    return outcomes
  }

  describe('while the gateway connects, it', () => {
    it('never follows a symlink that takes the place of a socket at the right moment', async () => {
      const { directory, name, accepted } = await listenRaw((socket) => socket.end('not for the gateway'))
      const { dataDir } = world()
      await ask('swap', join(directory, name), async (tenant) => {
        const run = join(dataDir, slugOf(tenant), 'run')
        await dialed(run, ['connected', 'ENOTSOCK'])
      })
      expect(accepted()).toBe(0)
    })

    it('is refused or connected by an agent that takes its socket away and listens anew all the time, and keeps nothing open', async () => {
      const { dataDir, pool } = world()
      const openDescriptors = () => readdirSync('/proc/self/fd').length
      await ask('rebind', '', async (tenant) => {
        const run = join(dataDir, slugOf(tenant), 'run')
        const before = openDescriptors()
        const outcomes = await dialed(run, ['connected'])
        for (const outcome of outcomes)
          expect(outcome).toMatch(/^(connected|ECONNREFUSED|ECONNRESET|ENOENT)$/)
        await expect.poll(openDescriptors).toBeLessThanOrEqual(before + 2)
        const answer = await pool
          .fetch(tenant, '/', { timeout: '10s' })
          .then((response) => response.text(), errnoOf)
        expect(answer).toMatch(/^(mine|AGENT_FAILED|TIMEOUT)$/)
      })
    })
  })

  it("agents that answer without end keep nobody else's answers", async () => {
    const { pool } = world()
    const habits = ['endless', 'bomb', 'headers', 'interim', 'trailers', 'chunkExtension', 'dripBody']
    const tenants = habits.map((habit) => `${HOSTILE}${habit}@`)
    const fetchAll = (tenant: string) =>
      pool.fetch(tenant, '/', { timeout: '3s' }).then((response) => response.text())
    try {
      for (const tenant of tenants) await pool.ensure(tenant)
      const outcomes = await new Bystander(pool, 'victim').during('hostile answers', () =>
        Promise.allSettled(tenants.map(fetchAll)),
      )
      expect(outcomes.map(({ status }) => status)).toEqual(habits.map(() => 'rejected'))
    } finally {
      for (const tenant of tenants) await pool.remove(tenant, { data: 'delete', leases: 'abort' })
    }
  })

  it("agents that answer in the smallest pieces keep nobody else's answers", async () => {
    const { pool } = world()
    const habits = ['crumbs', 'blankLines', 'unknownEvents', 'emptyEvents']
    const tenants = habits.map((habit) => `${HOSTILE}${habit}@`)
    const hear = (tenant: string) => pool.send(tenant, 'hello', { timeout: '3s' }).text()
    try {
      for (const tenant of tenants) await pool.ensure(tenant)
      const outcomes = await new Bystander(pool, 'victim').during('answers in the smallest pieces', () =>
        Promise.allSettled(tenants.map(hear)),
      )
      expect(outcomes.map(({ status }) => status)).toEqual(habits.map(() => 'rejected'))
    } finally {
      for (const tenant of tenants) await pool.remove(tenant, { data: 'delete', leases: 'abort' })
    }
  })

  describe.concurrent('an agent that', () => {
    it.each([
      ['accepts and never answers', 'silent', 'TIMEOUT'],
      ['does not accept', 'deaf', 'TIMEOUT'],
      ['hangs up', 'hangup', 'AGENT_FAILED'],
      ['drips what begins like no answer', 'dripHead', 'AGENT_FAILED'],
      ['drips a body without end, never silent', 'dripBody', 'TIMEOUT'],
      ['answers without end', 'endless', 'TOO_LARGE'],
      ['compresses a bomb', 'bomb', 'AGENT_FAILED'],
      ['answers with garbage', 'garbage', 'AGENT_FAILED'],
      ['answers as HTTP/0.9', 'oldHttp', 'AGENT_FAILED'],
      ['sends headers without end', 'headers', 'TOO_LARGE'],
      ['sends interim answers without end', 'interim', 'AGENT_FAILED'],
      ['switches the protocol', 'upgrade', 'AGENT_FAILED'],
      ['announces two lengths', 'twoLengths', 'AGENT_FAILED'],
      ['announces a length and chunks', 'lengthAndChunks', 'AGENT_FAILED'],
      ['announces a chunk of 2^72 bytes', 'hugeChunk', 'AGENT_FAILED'],
      ['extends a chunk without end', 'chunkExtension', 'TIMEOUT'],
      ['sends trailers without end', 'trailers', 'TOO_LARGE'],
      ['cuts its answer', 'cut', 'AGENT_FAILED'],
    ] as const)('%s: refused', async (_, habit, code) => {
      await refused(ask(habit), code)
    })

    it('redirects: refused, and nobody is asked', async ({ onTestFinished }) => {
      let asked = 0
      const server = createServer((_, response) => {
        asked++
        response.end()
      }).listen(0, '127.0.0.1')
      await once(server, 'listening')
      onTestFinished(() => void server.close())
      const { port } = server.address() as { port: number }
      await refused(ask('redirect', `http://127.0.0.1:${port}/`), 'AGENT_FAILED')
      expect(asked).toBe(0)
    })

    it('answers a question that was not asked: not taken for the next answer', async () => {
      const { pool } = world()
      const answers = await ask('unasked', '', async (tenant) => [
        await pool.fetch(tenant, '/').then((response) => response.text()),
        await pool.fetch(tenant, '/').then((response) => response.text(), String),
      ])
      expect(answers[0]).toBe('first')
      expect(answers[1]).not.toContain('smuggled')
    })

    it('writes a line of an answer without end: refused', async () => {
      await refused(tell('longLine'), 'TOO_LARGE')
    })

    it('nests its JSON without end: refused', async () => {
      await refused(tell('deepJson'), 'AGENT_FAILED')
    })

    it('sends what would change objects of the gateway: it changes none', async () => {
      await tell('prototype')
      expect(({} as { polluted?: boolean }).polluted).toBeUndefined()
    })
  })
}
