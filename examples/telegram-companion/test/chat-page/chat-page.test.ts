import { request } from 'node:http'
import { describe, expect, test } from 'vitest'
import { openPage } from './support.js'

/** A request with headers that `fetch` would not let anybody set. @returns status and body */
function ask(
  url: string,
  { path = '/', method = 'GET', headers = {}, body = '' }: Partial<Ask>,
): Promise<{ status: number | undefined; text: string }> {
  return new Promise((resolve, reject) => {
    const length = { 'content-length': String(Buffer.byteLength(body)) }
    const asked = request(new URL(path, url), { method, headers: { ...length, ...headers } }, (response) => {
      let text = ''
      response.setEncoding('utf8')
      response.on('data', (chunk) => {
        text += chunk
      })
      response.on('end', () => resolve({ status: response.statusCode, text }))
      response.on('error', reject)
    })
    asked.on('error', reject)
    asked.end(body)
  })
}

interface Ask {
  path: string
  method: string
  headers: Record<string, string>
  body: string
}

const setUp = async () => {
  const { page, server, url } = await openPage()
  const origin = url.slice(0, -1)
  const posted = (over: Record<string, unknown> = {}, headers: Record<string, string> = {}) =>
    ask(url, {
      path: '/post',
      method: 'POST',
      headers: { 'content-type': 'application/json', origin, ...headers },
      body: JSON.stringify({ type: 'message', chat: 1, text: 'hi', ...over }),
    })
  const said = () => server.chat(1).messages.map(({ text }) => text)
  return { ask: (options: Partial<Ask>) => ask(url, options), page, posted, said, server, url }
}

test('a message is posted in the name of its user', async () => {
  const { posted, said, server } = await setUp()
  expect((await posted()).status).toBe(204)
  expect(said()).toEqual(['hi'])
  expect(server.pendingUpdates[0]?.message).toMatchObject({ from: { id: 1, first_name: 'Anna' }, text: 'hi' })
})

describe('nobody else can post', () => {
  test.each([
    ['another site', { origin: 'http://evil.example' }],
    ['another port', { origin: 'http://127.0.0.1:1' }],
    ['a frame without a name', { origin: 'null' }],
    ['a foreign site, as the browser says', { 'sec-fetch-site': 'cross-site' }],
    ['another port, as the browser says', { 'sec-fetch-site': 'same-site' }],
    ['a name that was pointed here', { host: 'evil.example' }],
  ])('%s', async (_, headers) => {
    const { posted, said } = await setUp()
    expect((await posted({}, headers)).status).toBe(403)
    expect(said()).toEqual([])
  })

  test('a form, which needs no leave of anybody', async () => {
    const { ask, posted, said } = await setUp()
    expect((await posted({}, { 'content-type': 'text/plain' })).status).toBe(400)
    const body = JSON.stringify({ type: 'message', chat: 1, text: 'hi' })
    const headers = { 'content-type': 'application/json' }
    expect((await ask({ path: '/post', method: 'POST', headers, body })).status).toBe(403)
    expect(said()).toEqual([])
  })
})

test('nobody else can read', async () => {
  const { ask } = await setUp()
  for (const path of ['/', '/events', '/files/file-1'])
    expect((await ask({ path, headers: { host: 'evil.example' } })).status).toBe(403)
  for (const path of ['/events', '/files/file-1'])
    expect((await ask({ path, headers: { 'sec-fetch-site': 'cross-site' } })).status).toBe(403)
})

test('what is not of the form is refused', async () => {
  const { posted, said } = await setUp()
  for (const over of [
    { chat: 3 },
    { chat: '1' },
    { text: '  ' },
    { text: 'a'.repeat(4097) },
    { text: 'a'.repeat(70_000) },
    { text: 1 },
    { type: 'other' },
    { type: 'press', message: 1, data: 'none' },
  ])
    expect((await posted(over)).status).toBe(400)
  expect(said()).toEqual([])
})

test('files are saved, never shown', async () => {
  const { ask, server, url } = await setUp()
  const { message } = server
    .chat(1)
    .user()
    .sendDocument({ name: 'a "b".html', type: 'text/html', bytes: Buffer.from('<script>') })
  const response = await fetch(`${url}files/${message.message.document?.file_id}`)
  expect(await response.text()).toBe('<script>')
  expect(response.headers.get('content-type')).toBe('application/octet-stream')
  expect(response.headers.get('content-disposition')).toBe("attachment; filename*=UTF-8''a%20%22b%22.html")
  expect((await ask({ path: '/files/none' })).status).toBe(404)
})

test('the page names no other place, and may load from none', async () => {
  const { url } = await setUp()
  const response = await fetch(url)
  expect(response.headers.get('content-security-policy')).toMatch(/^default-src 'none'; script-src 'sha256-/)
  expect(await response.text()).not.toMatch(/(src|href)="(?!data:,")/)
})

test('closing ends the streams of pages that are open', async () => {
  const { page, url } = await setUp()
  const response = await fetch(`${url}events`)
  await page.close()
  await response.text().catch(() => undefined)
})
