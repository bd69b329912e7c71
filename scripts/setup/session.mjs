import { spawn } from 'node:child_process'
import { constants } from 'node:os'
import { find } from './commands.mjs'
import { chooseEngine, unpackedPrograms } from './engine.mjs'
import { startKeeper } from './keeper-client.mjs'
import { prepareClone } from './preparation.mjs'
import { NAMESPACES } from './private-engine.mjs'
import { printFailure, SetupError, step } from './terminal.mjs'

/**
 * What the work of a session is given: an image that has Node or, where there is no engine, why. `run` starts a command
 * in this terminal, where it reaches the engine, and resolves with its exit code.
 * @typedef {{ image?: string, missing?: readonly string[], run(...command: string[]): Promise<number> }} Session
 */

/** How long an interrupted command may take to end by itself, in milliseconds. */
const GRACE = 3_000

/**
 * Prepares this clone, finds or starts an engine, does the work and undoes all but the preparation.
 *
 * @param {{ build?: readonly string[], extras?: boolean, network?: 'private' | 'host' }} options build: names of the packages
 *   that must be built; extras: whether the work uses what only some tests need; network: in which commands run
 * @param {(session: Session) => Promise<number>} work resolves with the exit code of this process
 */
export async function inSession({ build = [], extras = false, network = 'private' }, work) {
  const interruption = onInterruption()
  try {
    const choice = await chooseEngine()
    await prepareClone({ build, extras }, choice, interruption)
    const exitCode = await withEngine(choice, network, interruption, work)
    process.exitCode ??= exitCode
  } catch (error) {
    process.exitCode ??= 1
    if (!interruption.aborted) printFailure(error)
  }
}

/** @returns {AbortSignal} aborted by the first signal; the second ends this process at once, and the keeper cleans up */
function onInterruption() {
  const controller = new AbortController()
  for (const name of /** @type {const} */ (['SIGINT', 'SIGTERM', 'SIGHUP']))
    process.on(name, () => {
      process.exitCode = 128 + constants.signals[name]
      if (controller.signal.aborted) process.exit()
      controller.abort(new Error(name))
    })
  return controller.signal
}

/**
 * @param {import('./engine.mjs').EngineChoice} choice
 * @param {'private' | 'host'} network
 * @param {AbortSignal} signal
 * @param {(session: Session) => Promise<number>} work
 */
async function withEngine(choice, network, signal, work) {
  const keeper = startKeeper(afterPreparation(choice), (trouble) => {
    process.exitCode ??= 1
    printFailure(new SetupError(trouble))
  })
  signal.addEventListener('abort', keeper.close, { once: true })
  try {
    const { tmp, engine } = await keeper.ready
    signal.removeEventListener('abort', keeper.close)
    const { DOCKER_HOST: _passedOver, ...rest } = process.env
    if (!engine) {
      const missing = choice.kind === 'none' ? choice.reasons : []
      return await work({ missing, run: (...command) => run(command, { ...rest, TMPDIR: tmp }, signal) })
    }
    const { socket, init, images } = engine
    step(
      init === undefined
        ? `Using the Docker engine at ${socket}`
        : 'Started a Docker engine for this run alone',
    )
    const env = {
      ...rest,
      TMPDIR: tmp,
      DOCKER_HOST: `unix://${socket}`,
      TENANTBOX_TEST_IMAGE: images.agent,
      TENANTBOX_TEST_ATTACKER_IMAGE: images.attacker,
    }
    const inside = init === undefined ? [] : enter(init, network)
    return await work({ image: images.agent, run: (...command) => run([...inside, ...command], env, signal) })
  } finally {
    await keeper.close()
  }
}

/**
 * @param {import('./engine.mjs').EngineChoice} choice
 * @returns {import('./engine.mjs').ReadyChoice}
 */
function afterPreparation(choice) {
  if (choice.kind !== 'packages') return choice
  const programs = unpackedPrograms()
  if (programs) return { kind: 'private', programs }
  throw new SetupError('The downloaded packages hold no engine.')
}

/**
 * @param {number} init the first process of the namespaces to run a command in
 * @param {'private' | 'host'} network host: the engine and its boxes are reached by unix sockets all the same
 */
function enter(init, network) {
  const namespaces = NAMESPACES.filter((name) => network === 'private' || name !== '--net')
  return ['nsenter', '--target', String(init), ...namespaces, 'env', `--chdir=${process.cwd()}`]
}

/**
 * @param {readonly string[]} command
 * @param {NodeJS.ProcessEnv} env
 * @param {AbortSignal} signal
 * @returns {Promise<number>} its exit code
 */
async function run(command, env, signal) {
  signal.throwIfAborted()
  // Killed along with this process, which could otherwise not take it along.
  const tied = find('setpriv') ? ['setpriv', '--pdeathsig', 'KILL', ...command] : command
  const child = spawn(tied[0] ?? '', tied.slice(1), { env, stdio: 'inherit' })
  /** @type {NodeJS.Timeout[]} */
  const timers = []
  // In a terminal the command was interrupted with us: it gets time to end its own way.
  const end = () =>
    timers.push(
      setTimeout(() => child.kill('SIGTERM'), GRACE),
      setTimeout(() => child.kill('SIGKILL'), 2 * GRACE),
    )
  signal.addEventListener('abort', end, { once: true })
  try {
    return await new Promise((resolve, reject) => {
      child
        .once('error', reject)
        .once('exit', (code, by) => resolve(code ?? 128 + (by ? constants.signals[by] : 0)))
    })
  } finally {
    signal.removeEventListener('abort', end)
    timers.forEach(clearTimeout)
  }
}
