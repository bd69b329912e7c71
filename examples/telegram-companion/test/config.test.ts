import { describe, expect, it } from 'vitest'
import { readConfig } from '../src/gateway/config.js'
import { codeOf, lineLog } from '../src/gateway/log.js'

const TOKEN = '123456:ABC-def_1'

describe('the environment', () => {
  it('needs nothing but the token', () => {
    const config = readConfig({ TELEGRAM_BOT_TOKEN: TOKEN, OPENAI_API_KEY: '', OPENAI_BASE_URL: '' })
    expect(config).toMatchObject({ token: TOKEN, image: 'companion-agent', model: undefined, maxRunning: 50 })
  })

  it('names a model, with or without a key', () => {
    const local = { OPENAI_BASE_URL: 'http://127.0.0.1:11434/v1/', OPENAI_MODEL: 'small' }
    expect(readConfig({ TELEGRAM_BOT_TOKEN: TOKEN, ...local }).model).toEqual({
      baseUrl: 'http://127.0.0.1:11434/v1',
      key: undefined,
      model: 'small',
    })
    const hosted = { OPENAI_API_KEY: 'sk-1', OPENAI_MODEL: 'large' }
    expect(readConfig({ TELEGRAM_BOT_TOKEN: TOKEN, ...hosted }).model).toMatchObject({ key: 'sk-1' })
  })

  it.each([
    ['no token', {}, /BotFather/],
    ['half a token', { TELEGRAM_BOT_TOKEN: '123456' }, /no token/],
    ['a key without a model', { TELEGRAM_BOT_TOKEN: TOKEN, OPENAI_API_KEY: 'sk-1' }, /OPENAI_MODEL/],
    [
      'an address that is none',
      { TELEGRAM_BOT_TOKEN: TOKEN, OPENAI_BASE_URL: 'here', OPENAI_MODEL: 'm' },
      /OPENAI_BASE_URL/,
    ],
    ['no boxes', { TELEGRAM_BOT_TOKEN: TOKEN, COMPANION_MAX_RUNNING: '0' }, /COMPANION_MAX_RUNNING/],
  ])('is refused with what to do: %s', (_what, env, message) => {
    expect(() => readConfig(env)).toThrow(message)
    expect(() => readConfig(env)).toThrow(
      expect.not.objectContaining({ message: expect.stringContaining('sk-1') }),
    )
  })
})

describe('the log', () => {
  it('has a line for each event, without what is not there', () => {
    const lines: string[] = []
    const log = lineLog(
      (line) => lines.push(line),
      () => new Date('2026-05-04T18:00:00Z'),
    )
    log('box', { tenant: '42', ms: 160, code: undefined })
    expect(lines).toEqual(['2026-05-04T18:00:00.000Z box tenant=42 ms=160'])
  })

  it('tells no more of an error than its code', () => {
    expect(codeOf(Object.assign(new Error('the secret'), { code: 'ENOENT' }))).toBe('ENOENT')
    expect(codeOf(new TypeError('the secret'))).toBe('TypeError')
    expect(codeOf('the secret')).toBe('string')
  })
})
