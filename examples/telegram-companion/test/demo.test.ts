import { processDriver } from '@tenantbox/core/process'
import { describe, it } from 'vitest'
import { useAgent } from './support/agent.js'
import { playDemo } from './support/play-demo.js'

describe('the demo', () => {
  const agent = useAgent()

  it('plays in mere processes', { timeout: 120_000 }, async () => {
    const command = [process.execPath, `${agent()}/agent.mjs`]
    await playDemo({ driver: processDriver(), box: { image: 'none', command } })
  })
})
