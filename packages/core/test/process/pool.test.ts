import { mkdir, mkdtemp } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type PoolEvents, type PoolOptions, TenantPool } from '@tenantbox/core'
import { processDriver } from '@tenantbox/core/process'
import { afterEach, expect, it, vi } from 'vitest'
import { deleteTree } from '../../src/delete-tree.js'
import { processesOf } from './processes.js'

/** Keeps what it is told in its workspace, and asks the gateway who it is. */
const AGENT = `
  const { appendFileSync, readFileSync } = require('node:fs')
  const { createServer, get } = require('node:http')
  const gateway = () => new Promise((resolve) => {
    get({ socketPath: process.env.TENANTBOX_GATEWAY, path: '/whoami' }, async (response) => {
      let answer = ''
      for await (const chunk of response) answer += chunk
      resolve(answer)
    })
  })
  createServer(async (request, response) => {
    if (request.url === '/healthz') return response.end('{}')
    if (request.url === '/crash') process.exit(9)
    let body = ''
    for await (const chunk of request) body += chunk
    appendFileSync('notes', JSON.parse(body).text + ' ')
    response.setHeader('content-type', 'text/plain')
    response.end(await gateway() + ' knows ' + readFileSync('notes'))
  }).listen(process.env.TENANTBOX_SOCKET)`

const cleanups: (() => Promise<unknown>)[] = []

afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup()
})

async function poolOf(options: Partial<PoolOptions> = {}): Promise<TenantPool> {
  const temporary = await mkdtemp(join(tmpdir(), 'tenantbox-pool-'))
  cleanups.push(() => deleteTree(temporary))
  // Too deep for a unix socket's address.
  const dataDir = join(temporary, 'deep'.repeat(30))
  await mkdir(dataDir)
  const pool = new TenantPool({
    name: 'test',
    driver: processDriver(),
    dataDir,
    box: { image: 'agent', command: [process.execPath, '-e', AGENT] },
    ...options,
  })
  cleanups.push(() => pool.close({ boxes: 'remove' }))
  return pool
}

it('wakes, pauses and stops boxes that keep their files and know their gateway', async () => {
  const pool = await poolOf()
  pool.serve('/whoami', (_, { tenant }) => new Response(tenant))
  expect(await pool.send('ann', 'apples').text()).toBe('ann knows apples ')
  expect(await pool.send('bob', 'bananas').text()).toBe('bob knows bananas ')
  await pool.pause('ann')
  await pool.stop('bob')
  expect(await pool.send('ann', 'apricots').text()).toBe('ann knows apples apricots ')
  expect(await pool.send('bob', 'beans').text()).toBe('bob knows bananas beans ')
})

it('makes one process of fifty calls for a new tenant', async () => {
  const pool = await poolOf()
  const ready: PoolEvents['ready'][] = []
  pool.on('ready', (event) => ready.push(event))
  await Promise.all(Array.from({ length: 50 }, () => pool.ensure('ann')))
  expect(ready).toHaveLength(1)
  const box = await pool.ensure('ann')
  expect(await processesOf(`HOME=${box.workspaceDir}`)).toHaveLength(1)
})

it('sees a crash, and starts again', async () => {
  const pool = await poolOf()
  await pool.ensure('ann')
  const died = new Promise<PoolEvents['transition']>((resolve) => {
    pool.on('transition', (event) => void (event.to === 'stopped' && resolve(event)))
  })
  await expect(pool.fetch('ann', '/crash')).rejects.toThrow()
  expect(await died).toMatchObject({ reason: 'exited', exit: { code: 9, oom: false } })
  expect((await pool.ensure('ann')).generation).toBe(2)
})

it('leaves no process behind that it was closed with', async () => {
  const pool = await poolOf()
  const box = await pool.ensure('ann')
  await pool.close({ boxes: 'stop' })
  expect(await processesOf(`HOME=${box.workspaceDir}`)).toEqual([])
})

it('says once, on stderr, that it isolates nothing, whether or not anybody listens', async () => {
  const written = vi.spyOn(process.stderr, 'write').mockReturnValue(true)
  const emitted = vi.spyOn(process, 'emitWarning')
  cleanups.push(async () => vi.restoreAllMocks())
  const heard: string[] = []
  const listened = await poolOf()
  listened.on('warning', ({ code }) => heard.push(code))
  await listened.start()
  await (await poolOf()).start()
  expect(heard).toEqual(['UNISOLATED'])
  expect(written.mock.calls.filter(([said]) => String(said).includes('isolates nothing'))).toHaveLength(2)
  expect(emitted).not.toHaveBeenCalled()
})

it('is refused by a pool that is strict about protections', async () => {
  const pool = await poolOf({ strict: true })
  await expect(pool.start()).rejects.toMatchObject({ code: 'INVALID_OPTION', details: { got: 'UNISOLATED' } })
})
