import { memoryDriver } from '@tenantbox/core/testing'
import { expect, it } from 'vitest'
import { CAROLS_DAY, live } from './live.js'

it('tells of every change, of who had to make room, and of leases', async () => {
  const driver = memoryDriver({
    agent: () => new Response('hello', { headers: { 'content-type': 'text/plain' } }),
  })
  const lines = await live('events', driver, { image: 'memory' })
  expect(lines.filter((line) => line.startsWith('carol') && line.includes('->'))).toEqual(CAROLS_DAY)
  expect(lines.filter((line) => line.endsWith('running -> stopping (evicted)'))).toHaveLength(1)
  expect(lines.some((line) => /^carol {3}lease released after \d+ ms$/.test(line))).toBe(true)
  expect(lines.some((line) => /^carol {3}ready \d+ ms after it was wanted, from paused: /.test(line))).toBe(
    true,
  )
})
