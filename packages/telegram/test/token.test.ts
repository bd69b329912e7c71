import { inspect } from 'node:util'
import { GrammyError, HttpError } from 'grammy'
import { expect, test } from 'vitest'
import { isTelegramError, TelegramError } from '../src/common/errors.js'
import { TokenScrubber } from '../src/common/token.js'

const TOKEN = '12345:a-secret_Token'
const ADDRESS = `https://api.telegram.org/bot${TOKEN}/getMe`
const CLEAN = 'https://api.telegram.org/bot<token>/getMe'
const scrubber = new TokenScrubber(TOKEN)

function shown(value: unknown): string {
  return inspect(value, { depth: 50, showHidden: true, maxStringLength: null })
}

class AppError extends Error {
  override readonly name = 'AppError'
  constructor(
    message: string,
    readonly about: unknown,
  ) {
    super(message)
  }
}

class Client {
  readonly options = { deep: { token: TOKEN } }
}

const withGetter = Object.defineProperty(new Error('x'), 'url', { get: () => ADDRESS, enumerable: true })
const circular: { self?: unknown; url: string } = { url: ADDRESS }
circular.self = circular
let deep: unknown = new Error(ADDRESS)
for (let depth = 0; depth < 10; depth++) deep = new Error('around', { cause: deep })

test.each<[string, unknown]>([
  ['a text', ADDRESS],
  ['an encoded one', new Error(encodeURIComponent(ADDRESS))],
  ['a message, and its stack', new Error(ADDRESS)],
  ['the cause of a cause', new Error('x', { cause: new Error('y', { cause: new Error(ADDRESS) }) })],
  ['a cause that is no error', new Error('x', { cause: { request: { url: ADDRESS } } })],
  ['a plain object', { url: ADDRESS }],
  ['the name of a member', new Error('x', { cause: { [ADDRESS]: 1 } })],
  ['a list in a list', new Error('x', { cause: [['a', ADDRESS]] })],
  ['many errors', new AggregateError([new AggregateError([new Error(ADDRESS)], 'inner')], 'outer')],
  ['a map', new AppError('x', new Map([['url', ADDRESS]]))],
  ['the key of a map', new AppError('x', new Map([[ADDRESS, 1]]))],
  ['a set', new AppError('x', new Set([ADDRESS]))],
  ['a URL', new AppError('x', new URL(ADDRESS))],
  ['headers', new AppError('x', new Headers({ location: ADDRESS }))],
  ['an object of a class', new AppError('x', new Client())],
  ['a proxy', new AppError('x', new Proxy({ url: ADDRESS }, {}))],
  ['a member that no listing shows', Object.defineProperty(new Error('x'), 'url', { value: ADDRESS })],
  ['a member with a symbol', Object.assign(new Error('x'), { [Symbol('url')]: ADDRESS })],
  ['a getter', withGetter],
  ['a frozen error', Object.freeze(new AppError('x', ADDRESS))],
  ['what contains itself', new AppError('x', circular)],
  ['what lies very deep', deep],
  [
    'a failure of the network',
    new HttpError('x', Object.assign(new Error(ADDRESS), { response: { url: ADDRESS } })),
  ],
])('the token is taken out of %s, and nothing is changed in what was thrown', (_, thrown) => {
  const before = shown(thrown)
  const clean = scrubber.error(thrown)
  expect(shown(clean)).not.toContain('a-secret_Token')
  expect(shown(thrown)).toBe(before)
})

test('what is given on is like what was thrown, but for the token', () => {
  const cause = Object.assign(new RangeError('why'), { url: ADDRESS })
  const thrown = new TelegramError('FILE_FAILED', `From ${ADDRESS}`, { tenant: '7', cause, retryable: true })
  const clean = scrubber.error(thrown)
  expect(isTelegramError(clean, 'FILE_FAILED')).toBe(true)
  expect(clean).toBeInstanceOf(TelegramError)
  expect(clean).toMatchObject({
    message: `From ${CLEAN}`,
    tenant: '7',
    retryable: true,
    name: 'TelegramError',
  })
  expect(clean.cause).toBeInstanceOf(RangeError)
  expect(clean.cause).toMatchObject({ message: 'why', url: CLEAN })
  expect(clean.stack).toContain(CLEAN)
  expect(Object.keys(clean)).toEqual(Object.keys(thrown))
})

test('what holds no token is given on as it is, whatever it is', () => {
  const unreadable = Object.defineProperty(new Error('x'), 'more', {
    get: () => {
      throw new Error('not to be read')
    },
  })
  const revoked = Proxy.revocable({}, {})
  revoked.revoke()
  const all = [
    undefined,
    7,
    'text',
    Symbol('x'),
    () => ADDRESS.length,
    new AppError('x', { map: new Map([[1, new Date()]]), url: new URL('https://example.org') }),
    new DOMException('aborted', 'AbortError'),
    unreadable,
    new AppError('x', revoked.proxy),
    { circular: [] as unknown[] },
  ]
  for (const thrown of all) expect(scrubber.error(thrown)).toBe(thrown)
})

test('a refused call keeps its class and code, and prints nothing of what was to be sent', async () => {
  const refusal = new GrammyError(
    'refused',
    { ok: false, error_code: 400, description: `Bad Request: ${ADDRESS}` },
    'sendMessage',
    { text: 'what nobody but its reader is to see' },
  )
  const failing = scrubber.transformer(() => Promise.reject(refusal), 'sendMessage', {
    chat_id: 1,
    text: 'x',
  })
  const clean: unknown = await failing.catch((error: unknown) => error)
  expect(clean).toBeInstanceOf(GrammyError)
  expect(clean).toMatchObject({ error_code: 400, description: `Bad Request: ${CLEAN}` })
  expect(inspect(clean)).not.toContain('nobody but its reader')
})
