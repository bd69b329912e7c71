import { spawn } from 'node:child_process'
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { find } from './commands.mjs'
import { CACHE } from './paths.mjs'
import { SetupError, step } from './terminal.mjs'

const PREPARE = fileURLToPath(new URL('prepare.mjs', import.meta.url))

/** What `flock` exits with when somebody else has the lock. */
const TAKEN = 75

/**
 * Brings this clone up to date, one set-up at a time: dependencies, builds, and what the engine and the images need.
 *
 * @param {{ build: readonly string[], extras?: boolean }} wanted build: names of the packages to build
 * @param {import('./engine.mjs').EngineChoice} choice
 * @param {AbortSignal} signal
 */
export async function prepareClone({ build, extras = false }, choice, signal) {
  const needs = [
    ...build.map((name) => `--build=${name}`),
    ...(choice.kind === 'packages' ? ['--engine'] : []),
    ...(choice.kind === 'none' ? [] : ['--busybox', ...(extras ? ['--extras'] : [])]),
  ]
  const prepare = [process.execPath, PREPARE, ...needs]
  let code = await run(find('flock') ? locked(prepare, ['--nonblock']) : prepare, signal)
  if (code === TAKEN) {
    step('Waiting for another set-up of this clone')
    code = await run(locked(prepare), signal)
  }
  signal.throwIfAborted()
  if (code !== 0) throw new SetupError('The set-up did not succeed.')
}

/**
 * The kernel frees this lock with the last process that holds it, whatever has become of the others.
 *
 * @param {readonly string[]} command
 * @param {readonly string[]} [options]
 */
function locked(command, options = []) {
  mkdirSync(CACHE, { recursive: true })
  return [
    'flock',
    '--no-fork',
    '--conflict-exit-code',
    String(TAKEN),
    ...options,
    join(CACHE, 'lock'),
    ...command,
  ]
}

/**
 * @param {readonly string[]} command
 * @param {AbortSignal} signal
 * @returns {Promise<number | null>} its exit code
 */
async function run([command = '', ...args], signal) {
  signal.throwIfAborted()
  const child = spawn(command, args, { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] })
  const end = () => child.connected && child.disconnect()
  signal.addEventListener('abort', end, { once: true })
  try {
    return await new Promise((resolve, reject) => child.once('exit', resolve).once('error', reject))
  } finally {
    signal.removeEventListener('abort', end)
  }
}
