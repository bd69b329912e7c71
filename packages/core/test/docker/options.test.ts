import { docker } from '@tenantbox/core/docker'
import { describe, expect, it } from 'vitest'
import { resolveDockerOptions } from '../../src/docker/options.js'
import { isTenantBoxError } from '../../src/errors.js'

describe('the options of docker()', () => {
  it('have defaults, also where undefined is written out', () => {
    const { client, authFor, ...plain } = resolveDockerOptions({
      socketPath: '/run/engine.sock',
      pull: undefined,
      uids: undefined,
      callTimeout: undefined,
      logs: { maxSize: undefined, maxFiles: undefined },
      hostConfig: undefined,
      runtime: undefined,
    })
    expect(plain).toEqual({
      ownsClient: true,
      hostDataDir: undefined,
      pull: 'missing',
      runtime: undefined,
      platform: undefined,
      hostConfig: {},
      uids: { first: 1_879_048_192, last: 2_147_483_646 },
      callTimeout: 30_000,
      logs: { maxSize: 1024 ** 2, maxFiles: 3 },
    })
  })

  it('win over DOCKER_HOST', () => {
    const before = process.env.DOCKER_HOST
    try {
      process.env.DOCKER_HOST = 'tcp://engine.example:2376'
      const bySocket = resolveDockerOptions({ socketPath: '/run/engine.sock' }).client.modem
      expect(bySocket).toMatchObject({ socketPath: '/run/engine.sock', host: undefined, protocol: 'http' })
      expect(resolveDockerOptions({ host: '127.0.0.1' }).client.modem).toMatchObject({
        host: '127.0.0.1',
        port: 2375,
        protocol: 'http',
      })
      expect(resolveDockerOptions({}).client.modem).toMatchObject({
        host: 'engine.example',
        port: '2376',
        protocol: 'https',
      })
      process.env.DOCKER_HOST = 'tcp://secret:[broken'
      expect(() => docker()).toThrow('Option DOCKER_HOST must be')
      expect(() => docker()).not.toThrow('secret')
    } finally {
      if (before === undefined) delete process.env.DOCKER_HOST
      else process.env.DOCKER_HOST = before
    }
  })

  it.each([
    [{ socket: '/x' }, 'socket'],
    [{ socketPath: '' }, 'socketPath'],
    [{ socketPath: '/a', host: 'b' }, 'host'],
    [{ port: 1 }, 'port'],
    [{ host: 'a', port: 70_000 }, 'port'],
    [{ client: {} }, 'client'],
    [{ hostDataDir: 'relative' }, 'hostDataDir'],
    [{ pull: 'sometimes' }, 'pull'],
    [{ runtime: 7 }, 'runtime'],
    [{ hostConfig: [] }, 'hostConfig'],
    [{ hostConfig: { Binds: [] } }, 'hostConfig.Binds'],
    [{ hostConfig: { Mounts: [] } }, 'hostConfig.Mounts'],
    [{ uids: { first: 0, last: 10 } }, 'uids.first'],
    [{ uids: { first: 10, last: 9 } }, 'uids.last'],
    [{ uids: { first: 1, last: 2, step: 1 } }, 'uids.step'],
    [{ callTimeout: 'soon' }, 'callTimeout'],
    [{ callTimeout: 0 }, 'callTimeout'],
    [{ logs: { maxSize: '1t' } }, 'logs.maxSize'],
    [{ logs: { maxFiles: 0 } }, 'logs.maxFiles'],
    [{ logs: { maxFiles: 1.5 } }, 'logs.maxFiles'],
    [{ auth: { user: 'x' } }, 'auth.user'],
  ])('%j are refused for %s', (options, option) => {
    let error: unknown
    try {
      docker(options as never)
    } catch (thrown) {
      error = thrown
    }
    expect(isTenantBoxError(error, 'INVALID_OPTION') && error.details.option).toBe(option)
  })
})
