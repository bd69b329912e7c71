import { processDriver } from '@tenantbox/core/process'
import { it } from 'vitest'
import { AGENT, play } from './play.js'

it('plays in mere processes', { timeout: 60_000 }, async () => {
  await play(processDriver(), { image: 'none', command: [process.execPath, `${AGENT}/agent.mjs`] })
})
