import { spawn } from 'node:child_process'
import { accessSync, constants } from 'node:fs'
import { join } from 'node:path'
import { SetupError } from './terminal.mjs'

/** @typedef {{ cwd?: string, env?: NodeJS.ProcessEnv, signal?: AbortSignal }} CommandOptions */

/**
 * @param {string} program
 * @param {string} [path] folders to look in, separated by colons
 * @returns {string | undefined} where it is
 */
export function find(program, path = process.env.PATH ?? '') {
  const places = path.split(':').filter((folder) => folder !== '')
  return places.map((folder) => join(folder, program)).find(isExecutable)
}

/** @param {string} file */
function isExecutable(file) {
  try {
    accessSync(file, constants.X_OK)
    return true
  } catch {
    // Not there, or not ours to run: either way no program.
    return false
  }
}

/**
 * Runs a command without a word, unless it fails: then its whole output is in the error.
 *
 * @param {string} command
 * @param {readonly string[]} args
 * @param {CommandOptions} [options] the signal ends the command with all it started
 * @returns {Promise<string>} what it wrote
 */
export async function quietly(command, args, { cwd, env, signal } = {}) {
  signal?.throwIfAborted()
  // A process group of its own, so that all of it can be ended at once.
  const child = spawn(command, args, { cwd, env, detached: true, stdio: ['ignore', 'pipe', 'pipe'] })
  const end = () => child.pid !== undefined && killGroup(child.pid)
  signal?.addEventListener('abort', end, { once: true })
  let written = ''
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding('utf8').on('data', (text) => {
      written += text
    })
  const problem = await new Promise((resolve) => {
    child.once('error', (error) => resolve(error.message))
    child.once('close', (code, by) =>
      resolve(code === 0 ? undefined : by ? `ended by ${by}` : `exit code ${code}`),
    )
  })
  signal?.removeEventListener('abort', end)
  signal?.throwIfAborted()
  if (problem === undefined) return written
  throw new SetupError(`${[command, ...args].join(' ')}: ${problem}\n${written}`.trimEnd())
}

/** @param {number} pid */
function killGroup(pid) {
  try {
    process.kill(-pid, 'SIGTERM')
  } catch {
    // It has ended in the meantime.
  }
}
