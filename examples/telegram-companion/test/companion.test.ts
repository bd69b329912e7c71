import { processDriver } from '@tenantbox/core/process'
import { describe } from 'vitest'
import { useAgent } from './support/agent.js'
import { companionTests } from './support/companion-tests.js'

describe('the companion in mere processes', { timeout: 60_000 }, () => {
  const agent = useAgent()
  companionTests(() => ({
    driver: processDriver(),
    box: { image: 'none', command: [process.execPath, `${agent()}/agent.mjs`] },
  }))
})
