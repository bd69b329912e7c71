import { readFile } from 'node:fs/promises'
import { finished } from 'node:stream/promises'
import { errnoOf } from '../errno.js'
import type { Engine } from './engine.js'

/** In the environment of every spawned process: how the box itself can find it and what it started. */
export const MARK = 'TENANTBOX_PROCESS'

/** Ends every process that carries the mark, this shell excepted: what it looks for is not in its own environment. */
const KILL_MARKED = `
found=1
for process in /proc/[0-9]*; do
  grep -qs "${MARK}=$1" "$process/environ" && kill -KILL "\${process#/proc/}" && found=0
done
exit $found`

/**
 * Ends a process by its pid on the engine's machine, with what it started that is still in its process group; false
 * when that is not this machine, or not for this user. The pid is the box's only if the box's cgroup says so.
 */
export async function killOnHost(pid: number, box: string): Promise<boolean> {
  if (pid <= 1 || !(await isInBox(pid, box))) return false
  // The engine makes each command the leader of a group of its own.
  return signal(-pid) || signal(pid)
}

async function isInBox(pid: number, box: string): Promise<boolean> {
  try {
    return (await readFile(`/proc/${pid}/cgroup`, 'utf8')).includes(box)
  } catch {
    // No such process, or none to be seen from here.
    return false
  }
}

function signal(target: number): boolean {
  try {
    return process.kill(target, 'SIGKILL')
  } catch (error) {
    if (errnoOf(error) === 'ESRCH' || errnoOf(error) === 'EPERM') return false
    throw error
  }
}

/** Ends the marked processes from inside the box; false when its image lacks the shell and tools for that. */
export async function killInBox(engine: Engine, box: string, mark: string): Promise<boolean> {
  const exec = await engine.call('prepare a command', (client, abortSignal) =>
    client
      .getContainer(box)
      .exec({ AttachStdout: true, Cmd: ['sh', '-c', KILL_MARKED, 'sh', mark], abortSignal }),
  )
  const output = await engine.call('run a command', (_, abortSignal) => exec.start({ abortSignal }))
  output.resume()
  await engine.call('run a command', () => finished(output))
  const { ExitCode } = await engine.call('tell of a command', (_, abortSignal) =>
    exec.inspect({ abortSignal }),
  )
  return ExitCode === 0
}
