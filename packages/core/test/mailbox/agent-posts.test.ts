import { request } from 'node:http'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { parseAgentPost } from '../../src/mailbox/agent-posts.js'
import { failure, setup } from '../pool/helpers.js'
import { deferred, watch } from './helpers.js'

interface Reply {
  readonly status: number | undefined
  readonly retryAfter: string | undefined
  readonly body: unknown
}

/** As an agent asks, over the socket in its box. */
function ask(
  dataDir: string,
  tenant: string,
  body: unknown,
  method = 'POST',
  path = '/messages',
): Promise<Reply> {
  return new Promise((resolve, reject) => {
    const socketPath = join(dataDir, tenant, 'gateway', 'gateway.sock')
    const asking = request({ socketPath, method, path }, async (response) => {
      let text = ''
      for await (const chunk of response) text += chunk
      const retryAfter = response.headers['retry-after']
      resolve({ status: response.statusCode, retryAfter, body: JSON.parse(text) })
    })
    asking.once('error', reject)
    asking.end(typeof body === 'string' ? body : JSON.stringify(body))
  })
}

describe('an agent that speaks first', () => {
  it('has its message handled as one of its tenant, once for each id', async () => {
    const { pool, dataDir } = await setup()
    const said: unknown[] = []
    const { mailbox, next } = watch(pool, {
      fromAgent: (post, { tenant }) => ({ said: post, by: tenant }),
      handle: async ({ tenant, id, body }) => void said.push([tenant, id, body]),
    })
    await mailbox.start()
    await pool.ensure('a')
    const done = next('done')
    const message = {
      id: 'r1',
      text: 'time to go',
      thread: 't',
      files: [{ path: 'out/map.png', name: 'map', bytes: 3, secret: 1 }],
      tenant: 'b',
    }
    expect(await ask(dataDir, 'a', message)).toMatchObject({ status: 202, body: { id: 'r1' } })
    await done
    expect(await ask(dataDir, 'a', message)).toMatchObject({ status: 202 })
    // Ids of agents and of the app are apart.
    const own = next('done', ({ id }) => id === 'r1')
    await mailbox.post('a', { id: 'r1', body: { said: { id: '', text: '' }, by: 'the app' } })
    await own
    expect(said).toEqual([
      [
        'a',
        'agent:r1',
        {
          by: 'a',
          said: {
            id: 'r1',
            text: 'time to go',
            thread: 't',
            files: [{ path: 'out/map.png', name: 'map', bytes: 3 }],
          },
        },
      ],
      ['a', 'r1', { said: { id: '', text: '' }, by: 'the app' }],
    ])
  })

  it('is told when there is no room, no mailbox for it, or nothing to understand', async () => {
    const { pool, dataDir } = await setup()
    await pool.ensure('a')
    expect(await ask(dataDir, 'a', {})).toMatchObject({ status: 404 })
    const { mailbox } = watch<string>(pool, {
      maxDepth: 2,
      fromAgent: ({ text }) => text,
      handle: async () => {},
    })
    expect(await ask(dataDir, 'a', '', 'GET')).toMatchObject({ status: 405 })
    expect(await ask(dataDir, 'a', '', 'POST', '/messages/1')).toMatchObject({ status: 404 })
    expect(await ask(dataDir, 'a', '{')).toMatchObject({ status: 400, body: { error: 'not JSON' } })
    expect(await ask(dataDir, 'a', { id: '1', text: 'x'.repeat(300_000) })).toMatchObject({ status: 413 })
    expect(await ask(dataDir, 'a', { id: '1', text: '' })).toMatchObject({ status: 202 })
    expect(await ask(dataDir, 'a', { id: '2', text: '' })).toMatchObject({ status: 429, retryAfter: '5' })
    const reminder = mailbox.post('a', { id: 'due', body: '' }, { from: 'agent' })
    await failure(reminder, 'MAILBOX_FULL')
    // Whatever agents do, there is room for what their users say.
    expect(await mailbox.post('a', { id: '3', body: '' })).toEqual({ duplicate: false })
    expect(() => pool.serve('/messages', () => new Response())).toThrow('not served yet')
    await mailbox.close()
    expect(await ask(dataDir, 'a', { id: '3', text: '' })).toMatchObject({ status: 404 })
  })

  it('is asked to come back while the mailbox closes', async () => {
    const { pool, dataDir } = await setup()
    const hold = deferred()
    const begun = deferred()
    const { mailbox } = watch<string>(pool, {
      fromAgent: ({ text }) => text,
      handle: () => {
        begun.resolve()
        return hold.promise
      },
    })
    await mailbox.start()
    await pool.ensure('a')
    await mailbox.post('a', { id: '1', body: '' })
    await begun.promise
    const closed = mailbox.close({ drain: '1h' })
    expect(await ask(dataDir, 'a', { id: '2', text: '' })).toMatchObject({ status: 503, retryAfter: '5' })
    hold.resolve()
    await closed
  })

  it('does not hear what went wrong in the app', async () => {
    const { pool, dataDir, events } = await setup()
    watch<string>(pool, {
      fromAgent: () => {
        throw new Error('a secret')
      },
      handle: async () => {},
    })
    await pool.ensure('a')
    expect(await ask(dataDir, 'a', { id: '1', text: '' })).toEqual({
      status: 500,
      retryAfter: undefined,
      body: { error: 'internal error' },
    })
    expect(
      events.some(({ event, payload }) => event === 'warning' && payload.code === 'GATEWAY_HANDLER'),
    ).toBe(true)
  })

  it('leaves the path to the app where it serves it already', async () => {
    const { pool } = await setup()
    const stop = pool.serve('/messages', () => new Response())
    const options = { fromAgent: () => '', handle: async () => {} }
    await failure((async () => watch<string>(pool, options))(), 'INVALID_OPTION')
    stop()
    watch<string>(pool, options)
  })
})

describe('what an agent sends', () => {
  const good = { id: '1', text: 'x' }

  const bad: [string, unknown][] = [
    ['an array', []],
    ['no id', { text: 'x' }],
    ['an empty id', { ...good, id: '' }],
    ['a long id', { ...good, id: 'x'.repeat(257) }],
    ['no text', { id: '1' }],
    ['an odd thread', { ...good, thread: 1 }],
    ['files that are none', { ...good, files: {} }],
    ['many files', { ...good, files: Array(101).fill({ path: 'x' }) }],
    ['a file without a path', { ...good, files: [{}] }],
    ['odd bytes', { ...good, files: [{ path: 'x', bytes: -1 }] }],
    ['an odd caption', { ...good, files: [{ path: 'x', caption: 1 }] }],
    ...['', '/etc/passwd', '../x', 'a/../../x', 'a/..', 'a\0', 'x'.repeat(4097)].map(
      (path): [string, unknown] => [
        `the path ${JSON.stringify(path.slice(0, 20))}`,
        { ...good, files: [{ path }] },
      ],
    ),
  ]

  it.each(bad)('is refused: %s', (_, post) => {
    expect(parseAgentPost(JSON.stringify(post))).toBeTypeOf('string')
  })

  it('may have a path with dots in it', () => {
    const post = { ...good, files: [{ path: '.notes/a..b/...' }] }
    expect(parseAgentPost(JSON.stringify(post))).toEqual(post)
  })
})
