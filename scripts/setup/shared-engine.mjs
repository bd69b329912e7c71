import { EngineApi } from './engine-api.mjs'
import { RUN_LABEL } from './images.mjs'

const OWNER_LABEL = 'dev.tenantbox.owner'

/**
 * Removes from somebody's engine what this run made there: the containers made of its images, the networks of the pools
 * that these belonged to, and the images. All of them carry its label; nothing else is touched.
 *
 * @param {string} socketPath
 * @param {string} run
 */
export async function cleanSharedEngine(socketPath, run) {
  const api = new EngineApi(socketPath)
  const ofRun = filter(`${RUN_LABEL}=${run}`)
  /** @type {{ Id: string, Labels: Record<string, string> }[]} */
  const containers = await api.get(`/containers/json?all=1&${ofRun}`)
  const owners = new Set(containers.flatMap(({ Labels }) => Labels[OWNER_LABEL] ?? []))
  for (const { Id } of containers) await remove(api, `/containers/${Id}?force=1&v=1`)
  for (const owner of owners)
    for (const { Id } of await api.get(`/networks?${filter(`${OWNER_LABEL}=${owner}`)}`))
      await remove(api, `/networks/${Id}`)
  for (const { Id } of await api.get(`/images/json?${ofRun}`)) await remove(api, `/images/${Id}?force=1`)
}

/** @param {string} label */
function filter(label) {
  return new URLSearchParams({ filters: JSON.stringify({ label: [label] }) })
}

/**
 * @param {EngineApi} api
 * @param {string} path
 */
async function remove(api, path) {
  try {
    await api.call('DELETE', path)
  } catch (error) {
    // Gone, or going, by somebody else's hand.
    if (!(error instanceof Error) || !/: (404|409) /.test(error.message)) throw error
  }
}
