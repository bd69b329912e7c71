import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { join } from 'node:path'
import { describe, expect, it, onTestFinished } from 'vitest'
import { type ErrorCode, isTenantBoxError, type TenantOverrides } from '../../../src/index.js'
import type { Isolation, IsolationOptions } from '../isolation.js'

const SOURCE = readFileSync(new URL('../hostile-agent.mjs', import.meta.url), 'utf8')
const HOSTILE = 'hostile:'

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
  timeouts: { connect: '2s', firstByte: '2s', silence: '2s' },
} as const satisfies IsolationOptions

/** An agent that answers the gateway as no agent should. */
export function hostileAgentAttacks(world: () => Isolation): void {
  /** What the gateway gets when it asks an agent of this habit; its box is gone afterwards. */
  const ask = async (
    habit: string,
    argument = '',
    read = (response: Response): Promise<unknown> => response.text(),
  ) => {
    const { pool } = world()
    const tenant = `${HOSTILE}${habit}@${argument}`
    await pool.ensure(tenant)
    onTestFinished(async () => void (await pool.remove(tenant, { data: 'delete' })))
    return pool.fetch(tenant, '/', { timeout: '5s' }).then(read)
  }
  const tell = async (habit: string) => {
    const { pool } = world()
    const tenant = `${HOSTILE}${habit}@`
    onTestFinished(async () => void (await pool.remove(tenant, { data: 'delete' })))
    const events: unknown[] = []
    for await (const event of pool.send(tenant, 'hello', { timeout: '10s' })) events.push(event)
    return events
  }
  const refused = async (asking: Promise<unknown>, code: ErrorCode) => {
    const error = await asking.then(
      (answer) => new Error(`answered with ${String(answer).slice(0, 200)}`),
      (failure: unknown) => failure,
    )
    if (!isTenantBoxError(error, code)) throw error
    const { pool } = world()
    expect(await (await pool.fetch('victim', '/ping')).text()).toBe('{}')
    return error
  }

  describe("in place of the agent's socket, the gateway finds", () => {
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

    it('a socket that becomes a symlink at the right moment, and never follows it', async () => {
      const { engineSocket, pool } = world()
      const answers = await ask('swap', engineSocket, async () => 'mine').catch(() => 'failed')
      expect(['mine', 'failed']).toContain(answers)
      const tenant = `${HOSTILE}swap@${engineSocket}`
      for (let i = 0; i < 300; i++) {
        const answer = await pool.fetch(tenant, '/info', { headers: { connection: 'close' } }).then(
          (response) => response.text(),
          (error: unknown) => isTenantBoxError(error, 'AGENT_FAILED') && 'refused',
        )
        expect(['mine', 'refused']).toContain(answer)
      }
    })
  })

  describe('an agent that', () => {
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
      ['extends a chunk without end', 'chunkExtension', 'TOO_LARGE'],
      ['sends trailers without end', 'trailers', 'TOO_LARGE'],
      ['cuts its answer', 'cut', 'AGENT_FAILED'],
    ] as const)('%s: refused', async (_, habit, code) => {
      await refused(ask(habit), code)
    })

    it('redirects: refused, and nobody is asked', async () => {
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
      expect(await ask('unasked')).toBe('first')
      const next = await pool.fetch(`${HOSTILE}unasked@`, '/').then((response) => response.text(), String)
      expect(next).not.toContain('smuggled')
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
