import { connect } from 'node:net'
import { describe, expect, test } from 'vitest'
import { startServer } from './support/server.js'

const setUp = async () => {
  const server = await startServer()
  const post = async (method: string, body: string | Uint8Array<ArrayBuffer> | FormData, type?: string) => {
    const headers = type === undefined ? {} : { 'content-type': type }
    const response = await fetch(`${server.url}/bot${server.token}/${method}`, {
      method: 'POST',
      body,
      headers,
    })
    const answer: { description?: string } = JSON.parse(await response.text())
    return { status: response.status, ...answer }
  }
  return { chat: server.chat(7), post, server }
}

describe('parameters come', () => {
  test('in the query', async () => {
    const { chat, server } = await setUp()
    await fetch(`${server.url}/bot${server.token}/sendMessage?chat_id=7&text=a%20b`)
    expect(chat.messages[0]?.text).toBe('a b')
  })

  test('urlencoded, with objects as JSON', async () => {
    const { chat, post } = await setUp()
    const entities = JSON.stringify([{ type: 'bold', offset: 0, length: 1 }])
    const form = new URLSearchParams({ chat_id: '7', text: 'a', entities })
    await post('sendMessage', form.toString(), 'application/x-www-form-urlencoded')
    expect(chat.messages[0]?.entities).toEqual([{ type: 'bold', offset: 0, length: 1 }])
  })

  test('as JSON', async () => {
    const { chat, post } = await setUp()
    await post('sendMessage', JSON.stringify({ chat_id: '7', text: 'a' }), 'application/json')
    expect(chat.messages[0]?.text).toBe('a')
  })

  test('as a form with files, as browsers send it', async () => {
    const { chat, post } = await setUp()
    const form = new FormData()
    form.set('chat_id', '7')
    form.set('document', new File(['abc'], 'a b.txt', { type: 'text/plain' }))
    await post('SENDDOCUMENT', form)
    expect(chat.messages[0]?.message.document).toMatchObject({
      file_name: 'a b.txt',
      mime_type: 'text/plain',
    })
  })
})

describe('refuses', () => {
  test.each([
    ['/bot1:wrong/getMe', 401, 'Unauthorized'],
    ['/botnonsense/getMe', 401, 'Unauthorized: invalid token specified'],
    ['/nonsense', 404, 'Not Found'],
    ['/bot100000:test-token/getNothing', 404, 'Not Found: method not found'],
    ['/file/bot100000:test-token/documents/none', 404, 'Not Found'],
    ['/bot%E0%A4%A/getMe', 404, 'Not Found'],
  ])('%s with %i', async (path, status, description) => {
    const { server } = await setUp()
    const response = await fetch(`${server.url}${path}`)
    expect(response.status).toBe(status)
    expect(await response.json()).toEqual({ ok: false, error_code: status, description })
  })

  test('what is no JSON, and no form', async () => {
    const { post } = await setUp()
    expect((await post('getMe', '{', 'application/json')).description).toBe(
      "Bad Request: can't parse JSON object",
    )
    for (const [type, body] of [
      ['multipart/form-data', 'x'],
      ['multipart/form-data; boundary=b', 'x'],
      ['multipart/form-data; boundary=b', '--b\r\ncontent-disposition: form-data; name="a"\r\n\r\nno end'],
    ] as const)
      expect((await post('getMe', body, type)).description).toBe(
        "Bad Request: can't parse multipart/form-data",
      )
  })

  test('a body of more than 51 MB, told beforehand or not', async () => {
    const { post, server } = await setUp()
    const told = await post('sendMessage', new Uint8Array(52 * 1024 * 1024), 'application/json')
    expect(told).toMatchObject({ status: 413, description: 'Request Entity Too Large' })
    expect(await sendEndlessly(server.url, server.token)).toContain('413')
  })
})

/** Sends chunks until the server answers or hangs up; @returns what it answered */
function sendEndlessly(url: string, token: string): Promise<string> {
  return new Promise((resolve) => {
    const socket = connect(Number(new URL(url).port), '127.0.0.1')
    let answered = ''
    socket.on('data', (data) => {
      answered += data
    })
    socket.on('error', () => socket.destroy())
    socket.on('close', () => resolve(answered))
    socket.write(`POST /bot${token}/getMe HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n`)
    const megabyte = 'x'.repeat(1024 * 1024)
    const send = () => {
      if (answered !== '') socket.end()
      else socket.write(`100000\r\n${megabyte}\r\n`, send)
    }
    send()
  })
}

test('closing breaks connections that are open, and leaves no handle', async () => {
  const { server } = await setUp()
  const polling = fetch(`${server.url}/bot${server.token}/getUpdates?timeout=50`)
  await server.until(({ polled }) => polled)
  await server.close()
  await expect(polling).rejects.toThrow()
  expect(server.polled).toBe(false)
})
