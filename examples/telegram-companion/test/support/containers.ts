import type { BoxSpec } from '@tenantbox/core'

/** Containers of the test image, with the agent mounted into it. */
export function containersWith(agent: string): BoxSpec {
  const image = process.env.TENANTBOX_TEST_IMAGE
  if (!image)
    throw new Error(
      'This test needs an engine and an image: run it by `npm test`, which finds or makes both.',
    )
  return { image, command: ['node', '/agent/agent.mjs'], mounts: [{ host: agent, box: '/agent' }] }
}
