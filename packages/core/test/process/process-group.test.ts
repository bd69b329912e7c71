import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { writeFile } from 'node:fs/promises'
import { describe, expect, it } from 'vitest'
import { ProcessGroup } from '../../src/process/process-group.js'

const OPTIONS = { cwd: '/', env: { PATH: process.env.PATH ?? '' }, stdin: 'ignore' } as const
const ATTEMPTS = 200

describe('ProcessGroup', () => {
  it('tells its exit code as a shell does', async () => {
    const group = await ProcessGroup.start(['sh', '-c', 'exit 7'], OPTIONS)
    expect(await group.exited).toBe(7)
    const killed = await ProcessGroup.start(['sleep', '600'], OPTIONS)
    killed.signal('SIGTERM')
    expect(await killed.exited).toBe(143)
    expect(killed.alive).toBe(false)
  })

  it('reaches those that its leader has left behind', async () => {
    const group = await ProcessGroup.start(['sh', '-c', 'sleep 600 & exit 0'], OPTIONS)
    await group.exited
    expect(group.alive).toBe(true)
    const closed = once(group.stdout.resume(), 'close')
    group.signal('SIGKILL')
    await closed
  })

  it('rejects with the system’s error what cannot be started', async () => {
    await expect(ProcessGroup.start(['/no/such/command'], OPTIONS)).rejects.toMatchObject({ code: 'ENOENT' })
    await expect(ProcessGroup.start(['/etc/passwd'], OPTIONS)).rejects.toMatchObject({ code: 'EACCES' })
  })

  it('never reaches another process that got its number', async ({ skip }) => {
    const group = await ProcessGroup.start(['true'], OPTIONS)
    await group.exited
    const stranger = await startAs(group.pid)
    if (!stranger) return skip('this user cannot choose the number of the next process')
    try {
      expect(group.alive).toBe(false)
      group.signal('SIGKILL')
      stranger.stdin?.end('still here')
      expect(String((await once(stranger.stdout ?? stranger, 'data'))[0])).toBe('still here')
    } finally {
      stranger.kill('SIGKILL')
    }
  })
})

/** A `cat` with the number `pid` that leads a group; undefined where that cannot be arranged. */
async function startAs(pid: number): Promise<ChildProcess | undefined> {
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    try {
      await writeFile('/proc/sys/kernel/ns_last_pid', String(pid - 1))
    } catch {
      // Not Linux, or not root.
      return undefined
    }
    const child = spawn('cat', { detached: true })
    await once(child, 'spawn')
    if (child.pid === pid) return child
    // Another process of this machine was faster.
    child.kill('SIGKILL')
    await once(child, 'exit')
  }
  return undefined
}
