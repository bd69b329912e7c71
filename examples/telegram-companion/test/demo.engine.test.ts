import { docker } from '@tenantbox/core/docker'
import { describe, it } from 'vitest'
import { useAgent } from './support/agent.js'
import { containersWith } from './support/containers.js'
import { playDemo } from './support/play-demo.js'

describe('the demo', () => {
  const agent = useAgent()

  it('plays in containers', { timeout: 120_000 }, async () => {
    await playDemo({ driver: docker(), box: containersWith(agent()) })
  })
})
