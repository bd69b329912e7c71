import { docker } from '@tenantbox/core/docker'
import { describe } from 'vitest'
import { useAgent } from './support/agent.js'
import { companionTests } from './support/companion-tests.js'

describe('the companion in containers', () => {
  const agent = useAgent()
  companionTests(() => {
    const image = process.env.TENANTBOX_TEST_IMAGE
    if (!image)
      throw new Error(
        'These tests need an engine and an image: run them by `npm test`, which finds or makes both.',
      )
    const mounts = [{ host: agent(), box: '/agent' }]
    return { driver: docker(), box: { image, command: ['node', '/agent/agent.mjs'], mounts } }
  })
})
