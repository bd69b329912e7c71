import { describe, expect, it } from 'vitest'
import { Budget, type BudgetLimits } from '../src/gateway/llm/budget.js'
import { llmProxy } from '../src/gateway/llm/llm-proxy.js'
import { begin, fails, type ModelServer, modelServer, says } from './support/model-server.js'

const KEY = 'sk-the-key-of-the-gateway'
const ASKED = { model: 'test-model', messages: [{ role: 'user', content: 'hi' }] }

function proxyTo(
  baseUrl: string,
  limits: BudgetLimits = {},
  now: () => number = Date.now,
  deadline?: () => AbortSignal,
) {
  const troubles: string[] = []
  const access = { baseUrl, key: KEY, model: 'test-model' }
  const onTrouble = ({ code }: { code: string }): void => void troubles.push(code)
  const handler = llmProxy({ access, budget: new Budget(now, limits), onTrouble, deadline })
  const ask = async (
    body: unknown = ASKED,
    path = '/llm/chat/completions',
    tenant = 'ada',
    method = 'POST',
  ) => {
    const init =
      method === 'POST' ? { method, body: typeof body === 'string' ? body : JSON.stringify(body) } : {}
    const request = new Request(`http://gateway${path}`, init)
    return await handler(request, { tenant, signal: new AbortController().signal })
  }
  return { ask, troubles }
}

async function answering(): Promise<ModelServer> {
  return await modelServer(says('Hello'))
}

describe('the way to the model', () => {
  it.each([
    ['another model', { ...ASKED, model: 'the-dear-one' }, undefined, 403],
    ['no model', { messages: ASKED.messages }, undefined, 403],
    ['no messages', { model: 'test-model' }, undefined, 400],
    ['no JSON', 'hello', undefined, 400],
    ['no object', 'null', undefined, 400],
    ['too much', JSON.stringify({ ...ASKED, rest: 'x'.repeat(600_000) }), undefined, 413],
    ['another path', ASKED, '/llm/models', 404],
    ['a path that leaves', ASKED, '/llm/chat/completions/../../admin', 404],
  ])('lets no request through for %s', async (_what, body, path, status) => {
    const server = await answering()
    const response = await proxyTo(server.baseUrl).ask(body, path)
    expect(response.status).toBe(status)
    expect(await response.json()).toMatchObject({ error: { code: expect.any(String) } })
    expect(server.asked).toEqual([])
  })

  it('passes on what a companion needs, and nothing else', async () => {
    const server = await answering()
    await (await proxyTo(server.baseUrl).ask({ ...ASKED, n: 100, stream: false, user: 'other' })).text()
    expect(server.asked[0]?.body).toEqual({ ...ASKED, stream: true })
  })

  it('keeps the key to itself when the endpoint repeats it', async () => {
    const server = await modelServer(fails(401, `{"error":"Incorrect API key provided: ${KEY}"}`))
    const { ask, troubles } = proxyTo(server.baseUrl)
    const response = await ask()
    expect(response.status).toBe(424)
    expect(await response.text()).not.toContain(KEY)
    expect(JSON.stringify([...response.headers])).not.toContain(KEY)
    expect(troubles).toEqual(['model_refused'])
  })

  it('follows no redirect with the key', async () => {
    const other = await answering()
    const server = await modelServer((response) => {
      response.writeHead(307, { location: `${other.baseUrl}/chat/completions` }).end()
    })
    expect((await proxyTo(server.baseUrl).ask()).status).toBe(502)
    expect(other.asked).toEqual([])
  })

  it('says that nobody is there, without the address', async () => {
    const { ask, troubles } = proxyTo('http://127.0.0.1:1/v1')
    const response = await ask()
    expect(response.status).toBe(502)
    expect(await response.text()).not.toContain('127.0.0.1')
    expect(troubles).toEqual(['model_unreachable'])
  })

  it('passes on how long an endpoint wants to be left alone', async () => {
    const server = await modelServer((response) => {
      response.writeHead(429, { 'retry-after': '7' }).end()
    })
    const response = await proxyTo(server.baseUrl).ask()
    expect([response.status, response.headers.get('retry-after')]).toEqual([429, '7'])
  })

  it('gives up on an endpoint that does not begin, and gives the budget back', async () => {
    const late = new AbortController()
    const server = await modelServer(() => late.abort())
    const { ask, troubles } = proxyTo(server.baseUrl, { atOnce: 1 }, Date.now, () => late.signal)
    expect((await ask()).status).toBe(502)
    expect((await ask()).status).toBe(502)
    expect(troubles).toEqual(['model_unreachable', 'model_unreachable'])
  })

  it('ends an answer that falls silent in the middle, and gives the budget back', async () => {
    let late = new AbortController()
    const server = await modelServer((response) => begin(response, { content: 'Hel' }))
    const { ask } = proxyTo(server.baseUrl, { atOnce: 1 }, Date.now, () => late.signal)
    for (let attempt = 0; attempt < 2; attempt++) {
      late = new AbortController()
      const response = await ask()
      expect(response.status).toBe(200)
      late.abort()
      await expect(response.text()).rejects.toThrow()
    }
  })

  it('cuts an answer without end', async () => {
    const server = await modelServer((response) => {
      begin(response)
      for (let sent = 0; sent < 6; sent++) response.write('x'.repeat(1024 * 1024))
      response.end()
    })
    const text = await (await proxyTo(server.baseUrl).ask()).text()
    expect(text.length).toBeLessThanOrEqual(4 * 1024 * 1024)
  })

  it('lets a tenant ask so often in a minute, and takes nothing from another', async () => {
    const server = await answering()
    let now = 0
    const { ask } = proxyTo(server.baseUrl, { perMinute: 2 }, () => now)
    const status = async (tenant: string) => {
      const response = await ask(ASKED, undefined, tenant)
      await response.text()
      return response.status
    }
    expect([await status('ada'), await status('ada'), await status('ada')]).toEqual([200, 200, 429])
    expect(await status('bob')).toBe(200)
    now = 60_000
    expect(await status('ada')).toBe(200)
  })

  it('lets a tenant ask one thing at a time', async () => {
    const server = await answering()
    const { ask } = proxyTo(server.baseUrl, { atOnce: 1 })
    const first = await ask()
    expect((await ask()).status).toBe(429)
    await first.text()
    const third = await ask()
    expect(third.status).toBe(200)
    await third.body?.cancel()
    expect((await ask()).status).toBe(200)
  })
})
