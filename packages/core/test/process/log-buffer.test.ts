import { describe, expect, it } from 'vitest'
import { LogBuffer } from '../../src/process/log-buffer.js'
import { all } from '../testing/fixtures.js'

/** Its clock ticks once a line: the first is said at 1. */
function buffer(maxBytes = 1024 ** 2): LogBuffer {
  let now = 0
  return new LogBuffer(maxBytes, () => ++now)
}

async function texts(logs: LogBuffer, request = {}): Promise<string[]> {
  return (await all(logs.read(request))).map(({ text }) => text)
}

describe('LogBuffer', () => {
  it('makes lines of what comes in pieces, also of a character that does', async () => {
    const logs = buffer()
    const out = logs.writer('stdout')
    const [first, second] = ['größe\n', 'last'].map((text) => Buffer.from(text))
    for (const byte of first ?? []) out.write(Buffer.from([byte]))
    out.write('\n')
    out.write(second)
    expect(await texts(logs)).toEqual(['größe', ''])
    logs.close()
    expect(await texts(logs)).toEqual(['größe', '', 'last'])
  })

  it('keeps what two streams say apart', async () => {
    const logs = buffer()
    const [out, err] = [logs.writer('stdout'), logs.writer('stderr')]
    out.write('a')
    err.write('b\n')
    out.write('c\n')
    expect((await all(logs.read({}))).map(({ stream, text }) => `${stream} ${text}`)).toEqual([
      'stderr b',
      'stdout ac',
    ])
  })

  it('cuts a line that never ends, so that it takes no more room than others', async () => {
    const logs = buffer()
    const out = logs.writer('stdout')
    for (let i = 0; i < 40; i++) out.write('x'.repeat(1024))
    expect(await texts(logs)).toEqual(['x'.repeat(16 * 1024), 'x'.repeat(16 * 1024)])
    out.write(`y\n${'z'.repeat(17 * 1024)}\n`)
    expect((await texts(logs)).map((text) => text.length)).toEqual(
      [16, 16, 8, 16, 1].map((k, i) => k * 1024 + (i === 2 ? 1 : 0)),
    )
  })

  it('drops the oldest lines when it is full', async () => {
    const logs = buffer(10 * (64 + 2))
    const out = logs.writer('stdout')
    for (let i = 0; i < 25; i++) out.write(`${String.fromCharCode(97 + i)}\n`)
    expect((await texts(logs)).join('')).toBe('pqrstuvwxy')
    expect(await texts(logs, { tail: 2 })).toEqual(['x', 'y'])
  })

  it('begins with the last lines, or those of a time, or the last of those', async () => {
    const logs = buffer()
    logs.writer('stdout').write('1\n2\n3\n4\n5\n')
    expect(await texts(logs, { tail: 2 })).toEqual(['4', '5'])
    expect(await texts(logs, { tail: 0 })).toEqual([])
    expect(await texts(logs, { tail: 9 })).toEqual(['1', '2', '3', '4', '5'])
    expect(await texts(logs, { since: 4 })).toEqual(['4', '5'])
    expect(await texts(logs, { since: 3, tail: 1 })).toEqual(['5'])
    expect(await texts(logs, { since: 9 })).toEqual([])
    expect(await texts(logs, { since: 9, tail: 1 })).toEqual([])
  })

  it('follows a life to its end, and not into the next', async () => {
    const logs = buffer()
    logs.open()
    const out = logs.writer('stdout')
    out.write('1\n')
    const following = logs.read({ follow: true })
    expect(await following.next()).toMatchObject({ value: { text: '1' } })
    const next = following.next()
    out.write('2\n')
    expect(await next).toMatchObject({ value: { text: '2' } })
    const end = following.next()
    logs.close()
    expect(await end).toEqual({ done: true, value: undefined })
    expect(await texts(logs, { follow: true })).toEqual(['1', '2'])
  })

  it('lets a reader that is too slow go on with what there still is', async () => {
    const logs = buffer(3 * (64 + 2))
    logs.open()
    const out = logs.writer('stdout')
    out.write('1\n2\n3\n')
    const following = logs.read({ follow: true })
    expect(await following.next()).toMatchObject({ value: { text: '1' } })
    out.write('4\n5\n6\n')
    expect(await following.next()).toMatchObject({ value: { text: '4' } })
  })

  it('ends with the signal', async () => {
    const logs = buffer()
    logs.open()
    const controller = new AbortController()
    const reason = new Error('enough')
    const next = logs.read({ follow: true }, controller.signal).next()
    controller.abort(reason)
    await expect(next).rejects.toBe(reason)
  })
})
