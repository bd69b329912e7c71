import type { Brain } from './brain.js'
import { modelBrain } from './model/model-brain.js'
import { offlineBrain } from './offline/offline-brain.js'

/** The gateway says whether there is a model, and which; it keeps the key and the address to itself. */
export function brainFor(env: NodeJS.ProcessEnv): Brain {
  const { COMPANION_MODEL: model, TENANTBOX_GATEWAY: gateway } = env
  return model && gateway ? modelBrain({ model, gateway }) : offlineBrain
}
