import { docker } from '@tenantbox/core/docker'
import { describe } from 'vitest'
import { useAgent } from './support/agent.js'
import { companionTests } from './support/companion-tests.js'
import { containersWith } from './support/containers.js'

describe('the companion in containers', { timeout: 60_000 }, () => {
  const agent = useAgent()
  companionTests(() => ({ driver: docker(), box: containersWith(agent()) }))
})
