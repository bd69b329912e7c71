// Run by `session.mjs` as a process of its own, out of the terminal's reach. It holds the engine and whatever else a run
// leaves on the machine, and undoes it when the session ends, however that ends.
import { once } from 'node:events'
import { basename, join } from 'node:path'
import { EngineApi } from './engine-api.mjs'
import { makeImages } from './images.mjs'
import { lifeline } from './lifeline.mjs'
import { PrivateEngine } from './private-engine.mjs'
import { makeRunFolder, removeRunFolder } from './run-folder.mjs'

/**
 * @typedef {{ socket: string, init: number | undefined, images: import('./images.mjs').TestImages }} KeptEngine
 *   `init`: the first process of the engine's namespaces, when it has some of its own
 */

/**
 * What a session hears of its keeper. First `ready` or `failed`; later perhaps `ended`: the engine did, by itself; and
 * last, `closed`.
 * @typedef {{ type: 'ready', tmp: string, engine: KeptEngine | undefined }
 *   | { type: 'failed', message: string }
 *   | { type: 'ended', message: string }
 *   | { type: 'closed', trouble: string | undefined }} KeeperReport
 */

/** @param {KeeperReport} report */
async function tell(report) {
  if (process.connected) await new Promise((resolve) => process.send?.(report, resolve))
}

/**
 * @param {import('./engine.mjs').ReadyChoice} choice
 * @param {string} folder
 * @param {AbortSignal} signal
 */
async function keep(choice, folder, signal) {
  const sessionEnds = once(signal, 'abort')
  const own = choice.kind === 'private' ? new PrivateEngine(folder, choice.programs) : undefined
  try {
    await own?.ready(signal)
    const socket = choice.kind === 'shared' ? choice.socket : own?.socket
    const images = socket && (await makeImages(new EngineApi(socket), basename(folder), signal))
    const engine = socket && images ? { socket, images, init: own?.init } : undefined
    await tell({ type: 'ready', tmp: join(folder, 'tmp'), engine })
    await Promise.race(own ? [sessionEnds, own.exited] : [sessionEnds])
    if (!signal.aborted)
      await tell({ type: 'ended', message: `The engine ended by itself:\n${own?.lastWords()}` })
  } catch (error) {
    if (!signal.aborted) await tell({ type: 'failed', message: messageOf(error) })
  } finally {
    await own?.kill()
  }
}

/** @param {unknown} error */
function messageOf(error) {
  return error instanceof Error ? error.message : String(error)
}

const signal = lifeline()
if (!signal.aborted) {
  try {
    const choice = JSON.parse(process.argv[2] ?? '')
    const folder = await makeRunFolder(choice.socket)
    await keep(choice, folder, signal)
    await removeRunFolder(folder)
    await tell({ type: 'closed', trouble: undefined })
  } catch (error) {
    await tell({ type: 'closed', trouble: messageOf(error) })
  }
}
process.exit()
