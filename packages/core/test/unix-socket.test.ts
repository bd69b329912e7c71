import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import {
  linkSync,
  lstatSync,
  mkdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { describe, expect, it, vi } from 'vitest'
import { dialUnixSocket, listenUnixSocket } from '../src/unix-socket.js'
import { afterwards, listenRaw, longDirectory, openDescriptors, tempDirectory } from './sockets.js'

const echo = () => listenRaw((socket) => socket.pipe(socket))

/** A socket file that nobody listens on, as a killed process leaves it. */
async function leaveSocket(directory: string, name: string): Promise<void> {
  const other = await listenRaw(() => undefined, directory, 'other.sock')
  linkSync(join(directory, 'other.sock'), join(directory, name))
  other.server.close()
  await once(other.server, 'close')
}

describe('dialUnixSocket', () => {
  it('connects', async () => {
    const { dial } = await echo()
    const socket = await dial()
    socket.end('hello')
    expect(await socket.toArray()).toEqual([Buffer.from('hello')])
  })

  it('connects where the path exceeds a socket address', async () => {
    const { dial } = await listenRaw((socket) => socket.end('far away'), longDirectory())
    expect(String(await (await dial()).toArray())).toBe('far away')
  })

  it('does not follow a symlink, not even to a live socket', async () => {
    const { directory, accepted } = await echo()
    symlinkSync('agent.sock', join(directory, 'link.sock'))
    await expect(dialUnixSocket(directory, 'link.sock')).rejects.toMatchObject({ code: 'ENOTSOCK' })
    expect(accepted()).toBe(0)
  })

  it('does not go through a directory that is a symlink', async () => {
    const { directory, accepted } = await echo()
    const link = join(tempDirectory(), 'run')
    symlinkSync(directory, link)
    await expect(dialUnixSocket(link, 'agent.sock')).rejects.toMatchObject({ code: 'ENOTDIR' })
    expect(accepted()).toBe(0)
  })

  it('refuses a socket that was exchanged for a symlink', async () => {
    const { directory, dial } = await echo()
    const stranger = await echo()
    ;(await dial()).destroy()
    unlinkSync(join(directory, 'agent.sock'))
    symlinkSync(join(stranger.directory, 'agent.sock'), join(directory, 'agent.sock'))
    await expect(dial()).rejects.toMatchObject({ code: 'ENOTSOCK' })
    expect(stranger.accepted()).toBe(0)
  })

  it.each([
    ['a FIFO', (path: string) => execFileSync('/usr/bin/mkfifo', [path])],
    ['a directory', (path: string) => mkdirSync(path)],
    ['a file', (path: string) => writeFileSync(path, '')],
  ])('refuses %s at once', async (_what, make) => {
    const directory = tempDirectory()
    make(join(directory, 'agent.sock'))
    await expect(dialUnixSocket(directory, 'agent.sock')).rejects.toMatchObject({ code: 'ENOTSOCK' })
  })

  it('says what is missing', async () => {
    const directory = tempDirectory()
    await expect(dialUnixSocket(directory, 'agent.sock')).rejects.toMatchObject({ code: 'ENOENT' })
    await expect(dialUnixSocket(join(directory, 'run'), 'agent.sock')).rejects.toMatchObject({
      code: 'ENOENT',
    })
    await leaveSocket(directory, 'agent.sock')
    await expect(dialUnixSocket(directory, 'agent.sock')).rejects.toMatchObject({ code: 'ECONNREFUSED' })
  })

  it('does nothing for a signal that has aborted', async () => {
    const { dial, accepted } = await echo()
    await expect(dial(AbortSignal.abort('enough'))).rejects.toBe('enough')
    expect(accepted()).toBe(0)
  })

  it('waits for room in a full accept queue until it is aborted', async () => {
    const directory = tempDirectory()
    const code = `require('net').createServer((s) => s.end()).listen({ path: process.argv[1], backlog: 1 }, () => console.log('up'))`
    const server = spawn(process.execPath, ['-e', code, join(directory, 'agent.sock')], {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    afterwards(() => server.kill('SIGKILL'))
    await once(server.stdout, 'data')
    server.kill('SIGSTOP')
    await vi.waitUntil(() => readFileSync(`/proc/${server.pid}/stat`, 'utf8').includes(') T '))

    const before = openDescriptors()
    const giveUp = new AbortController()
    const dials = Array.from({ length: 8 }, () =>
      dialUnixSocket(directory, 'agent.sock', { signal: giveUp.signal }),
    )
    const connected = new Set<number>()
    dials.forEach(
      (dial, index) =>
        void dial.then(
          () => connected.add(index),
          () => undefined,
        ),
    )
    await vi.waitUntil(() => connected.size > 0)
    giveUp.abort('enough')
    const outcomes = await Promise.allSettled(dials)
    const sockets = outcomes.flatMap((outcome) => (outcome.status === 'fulfilled' ? [outcome.value] : []))
    const reasons = outcomes.flatMap((outcome) => (outcome.status === 'rejected' ? [outcome.reason] : []))
    expect(reasons.length).toBeGreaterThan(0)
    expect(new Set(reasons)).toEqual(new Set(['enough']))

    const patient = dialUnixSocket(directory, 'agent.sock')
    server.kill('SIGCONT')
    sockets.push(await patient)
    for (const socket of sockets) socket.destroy()
    await vi.waitUntil(() => openDescriptors() <= before)
  })

  it('leaves no descriptor behind, whatever comes of it', async () => {
    const { directory, dial } = await echo()
    writeFileSync(join(directory, 'file'), '')
    symlinkSync('agent.sock', join(directory, 'link'))
    await leaveSocket(directory, 'dead')
    ;(await dial()).destroy()
    const before = openDescriptors()
    for (let round = 0; round < 50; round++) {
      const giveUp = new AbortController()
      const aborted = dial(giveUp.signal)
      giveUp.abort('enough')
      const outcomes = await Promise.allSettled([
        aborted,
        dial(),
        ...['file', 'link', 'dead', 'nothing'].map((name) => dialUnixSocket(directory, name)),
      ])
      expect(outcomes.map(({ status }) => status)).toEqual([
        'rejected',
        'fulfilled',
        ...Array(4).fill('rejected'),
      ])
      for (const outcome of outcomes) if (outcome.status === 'fulfilled') outcome.value.destroy()
    }
    await vi.waitUntil(() => openDescriptors() <= before)
  })
})

describe('listenUnixSocket', () => {
  it('lets everybody connect who can reach the directory', async () => {
    const directory = longDirectory()
    await listenRaw(() => undefined, directory)
    expect(statSync(join(directory, 'agent.sock')).mode & 0o777).toBe(0o666)
  })

  it('replaces a socket that was left behind', async () => {
    const directory = longDirectory()
    await leaveSocket(directory, 'agent.sock')
    const { dial } = await listenRaw((socket) => socket.end('anew'), directory)
    expect(String(await (await dial()).toArray())).toBe('anew')
  })

  it('leaves alone what is no socket', async () => {
    const directory = tempDirectory()
    writeFileSync(join(directory, 'agent.sock'), 'precious')
    const before = openDescriptors()
    await expect(listenUnixSocket(createServer(), directory, 'agent.sock')).rejects.toMatchObject({
      code: 'EADDRINUSE',
    })
    expect(readFileSync(join(directory, 'agent.sock'), 'utf8')).toBe('precious')
    await vi.waitUntil(() => openDescriptors() <= before)
  })

  it('removes its own socket when it closes, and nobody else’s', async () => {
    const before = openDescriptors()
    const one = await listenRaw((socket) => socket.resume().end())
    const other = await listenRaw((socket) => socket.resume().end())
    one.server.close()
    await once(one.server, 'close')
    // Whatever number the first one's directory had may now be another's.
    const third = await listenRaw((socket) => socket.resume().end())
    expect(() => lstatSync(join(one.directory, one.name))).toThrow('ENOENT')
    for (const { dial } of [other, third]) (await dial()).destroy()
    for (const { server } of [other, third]) {
      server.close()
      await once(server, 'close')
    }
    await vi.waitUntil(() => openDescriptors() <= before)
  })
})
