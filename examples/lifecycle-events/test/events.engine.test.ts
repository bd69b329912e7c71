import { randomUUID } from 'node:crypto'
import { fileURLToPath } from 'node:url'
import { docker } from '@tenantbox/core/docker'
import { expect, it } from 'vitest'
import { CAROLS_DAY, live } from './live.js'

it('tells the same of real containers', { timeout: 60_000 }, async () => {
  const image = process.env.TENANTBOX_TEST_IMAGE
  if (!image)
    throw new Error(
      'This test needs an engine and an image: run it by `npm test`, which finds or makes both.',
    )
  const lines = await live(`events${randomUUID().slice(0, 8)}`, docker(), {
    image,
    command: ['node', '/agent/agent.mjs'],
    mounts: [{ host: fileURLToPath(new URL('../agent', import.meta.url)), box: '/agent' }],
  })
  expect(lines.filter((line) => line.startsWith('carol') && line.includes('->'))).toEqual(CAROLS_DAY)
})
