/** Environments of the agent in its releases. */
export const RELEASES = {
  old: { RELEASE: '1' },
  new: { RELEASE: '2' },
  newest: { RELEASE: '3' },
  broken: { AGENT_MODE: 'exits' },
} as const
