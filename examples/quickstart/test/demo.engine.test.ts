import { docker } from '@tenantbox/core/docker'
import { it } from 'vitest'
import { AGENT, play } from './play.js'

it('plays in containers', { timeout: 60_000 }, async () => {
  const image = process.env.TENANTBOX_TEST_IMAGE
  if (!image)
    throw new Error(
      'This test needs an engine and an image: run it by `npm test`, which finds or makes both.',
    )
  const mounts = [{ host: AGENT, box: '/agent' }]
  await play(docker(), { image, command: ['node', '/agent/agent.mjs'], mounts })
})
