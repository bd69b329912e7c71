import { inspect } from 'node:util'
import { describe, expect, it } from 'vitest'
import { isTenantBoxError } from '../../../src/index.js'
import type { Isolation } from '../isolation.js'
import { HOSTILE } from './hostile-agent.js'

/** What a terminal obeys, what begins a new line, and what turns text around. */
const OBEYED = /[\p{Cc}\p{Bidi_Control}\u2028\u2029]/u
/** What the agent says, in whatever way it can. */
const FORGED = 'forged'

/** Words of a tenant that shall end up in the gateway's log, looking like something else. */
export function wordAttacks(world: () => Isolation): void {
  /** What `ask` fails with, for an agent of this habit. */
  const failureOf = async (habit: string, ask: (tenant: string) => Promise<unknown>) => {
    const { pool } = world()
    const tenant = `${HOSTILE}${habit}@`
    const warnings: string[] = []
    const off = pool.on('warning', ({ message }) => warnings.push(message))
    try {
      const failure = await ask(tenant).then(
        (answer) => new Error(`answered with ${String(answer)}`),
        (error: unknown) => error,
      )
      if (!isTenantBoxError(failure)) throw failure
      expect(
        [failure.message, ...warnings].filter((said) => OBEYED.test(said) || said.includes(FORGED)),
      ).toEqual([])
      return failure
    } finally {
      off()
      await pool.remove(tenant, { data: 'delete', leases: 'abort' })
    }
  }

  describe("the gateway's log: an agent forges no line of it", () => {
    it('by its last words: they are there for who asks, and nothing in them is obeyed', async () => {
      const error = await failureOf('lastWords', (tenant) => world().pool.ensure(tenant))
      expect(inspect(error, { depth: Infinity })).not.toContain(FORGED)
      const { lastLogs } = isTenantBoxError(error, 'START_FAILED')
        ? error.details
        : expect.fail(String(error))
      expect(lastLogs.join()).toContain(`\\u001b[2J\\u009b31m${FORGED}`)
      expect(lastLogs.filter((line) => OBEYED.test(line))).toEqual([])
    })

    it('by an error that it reports: its text is the cause, and nothing in it is obeyed', async () => {
      const { cause } = await failureOf('reportWords', (tenant) => world().pool.send(tenant, 'hello').text())
      const { message } = cause as Error
      expect(message).toContain(FORGED)
      expect(message).not.toMatch(OBEYED)
    })

    it.each([
      ['the head of an answer', 'headOfWords'],
      ['a line of an answer', 'lineOfWords'],
      ['the type of an answer', 'typeOfWords'],
    ])('by %s: no error holds it', async (_, habit) => {
      const error = await failureOf(habit, (tenant) => world().pool.send(tenant, 'hello').text())
      expect(inspect(error, { depth: Infinity })).not.toContain(FORGED)
    })
  })
}
