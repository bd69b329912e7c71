import { fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { sweepRunFolders } from './run-folder.mjs'
import { SetupError } from './terminal.mjs'

/**
 * @typedef {import('./keeper.mjs').KeeperReport} KeeperReport
 * @typedef {Extract<KeeperReport, { type: 'ready' }>} Ready
 */

const KEEPER = fileURLToPath(new URL('keeper.mjs', import.meta.url))

/**
 * Starts a keeper for this session.
 *
 * @param {import('./engine.mjs').ReadyChoice} choice
 * @param {(trouble: string) => void} onTrouble told when the engine ends by itself, and what could not be undone
 * @returns {{ ready: Promise<Ready>, close: () => Promise<void> }} close resolves when all is undone
 */
export function startKeeper(choice, onTrouble) {
  // Out of the terminal's process group: a ctrl-C must not end what cleans up after it.
  const stdio = /** @type {const} */ (['ignore', 'ignore', 'ignore', 'ipc'])
  const keeper = fork(KEEPER, [JSON.stringify(choice)], { detached: true, stdio: [...stdio] })
  const exited = once(keeper, 'exit')
  /** @type {Promise<Ready>} */
  const ready = new Promise((resolve, reject) => {
    keeper.on('message', (message) => {
      const report = /** @type {KeeperReport} */ (message)
      if (report.type === 'ready') resolve(report)
      else if (report.type === 'failed') reject(new SetupError(report.message))
      else if (report.type === 'ended') onTrouble(report.message)
      else if (report.trouble !== undefined) onTrouble(`This could not be undone: ${report.trouble}`)
    })
    keeper.once('error', reject)
    keeper.once('exit', () => reject(new SetupError('What looks after the engine ended by itself.')))
  })
  const close = async () => {
    if (keeper.connected) keeper.send('close', () => {})
    const [code] = await exited
    if (code !== 0) await sweepRunFolders()
  }
  return { ready, close }
}
