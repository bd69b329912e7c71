import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import {
  appendFileSync,
  chmodSync,
  closeSync,
  copyFileSync,
  ftruncateSync,
  linkSync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, onTestFinished, test } from 'vitest'
import { isWorkspaceError, type Workspace } from '../src/index.js'
import { all, temporaryFolder, temporaryWorkspace } from './support/folder.js'

const SECRET = 'the secret of another tenant'

const openDescriptors = () => readdirSync('/proc/self/fd').length
let descriptors = 0
beforeEach(() => {
  descriptors = openDescriptors()
})
afterEach(() => expect(openDescriptors()).toBeLessThanOrEqual(descriptors))

/** Has another process take a lease on a file, as its owner may, and keep it although it is asked to give it back. */
async function leased(path: string): Promise<void> {
  const [F_SETLEASE, F_WRLCK] = [1024, 1]
  const script = `$| = 1; $SIG{IO} = "IGNORE"; open F, "+<", $ARGV[0] or die; fcntl(F, ${F_SETLEASE}, ${F_WRLCK}) or die; print "taken"; <STDIN>`
  const tenant = spawn('/usr/bin/perl', ['-e', script, path], { stdio: ['pipe', 'pipe', 'inherit'] })
  const gone = once(tenant, 'exit')
  onTestFinished(async () => {
    tenant.stdin.end()
    await gone
  })
  await Promise.race([once(tenant.stdout, 'data'), gone.then(() => expect.fail('no lease'))])
  // The pipes to that process, which stays until the test is over.
  descriptors += 2
}

/** Every way in which the gateway touches a file of that name. */
function touches(workspace: Workspace, path: string): Record<string, () => Promise<unknown>> {
  switch (path) {
    case 'MEMORY.md':
      return {
        read: () => workspace.memory.read(),
        edit: () => workspace.memory.edit((text) => `${text}x`),
        write: () => workspace.memory.write('x'),
        sections: () => workspace.memory.sections(),
        append: () => workspace.memory.append('A', 'x'),
      }
    case 'session.jsonl':
      return {
        append: () => workspace.session.append({ role: 'user', content: 'x' }),
        tail: () => workspace.session.tail(5),
        entries: () => all(workspace.session.entries()),
        archive: () => workspace.session.archive('x'),
      }
    case 'SCHEDULES.json':
      return {
        list: () => workspace.schedules.list(),
        add: () => workspace.schedules.add({ text: 'x', every: '1h' }),
        remove: () => workspace.schedules.remove('x'),
        next: () => workspace.schedules.next(new Date()),
      }
    default:
      return {
        read: () => workspace.files.read(path),
        text: () => workspace.files.text(path),
        write: () => workspace.files.write(path, 'x'),
        stream: () => workspace.files.createReadStream(path),
        sink: () => workspace.files.createWriteStream(path),
      }
  }
}

const PATHS = ['MEMORY.md', 'session.jsonl', 'SCHEDULES.json', 'notes.txt', 'deep/er/notes.txt']

describe.each(PATHS)('%s', (path) => {
  const obstacles: Record<string, (target: string, outside: string) => void> = {
    'a symlink to a file outside': (target, outside) => symlinkSync(join(outside, 'secret'), target),
    'a symlink to nowhere': (target) => symlinkSync('/nowhere/at/all', target),
    'a symlink to itself': (target) => symlinkSync(target, target),
    'a symlink to /dev/zero': (target) => symlinkSync('/dev/zero', target),
    'a FIFO': (target) => execFileSync('mkfifo', [target]),
    'a folder': (target) => mkdirSync(target),
    'a hard link': (target, outside) => linkSync(join(outside, 'secret'), target),
  }
  if (process.getuid?.() === 0)
    obstacles['a device'] = (target) => execFileSync('mknod', [target, 'c', '1', '5'])

  test.each(Object.keys(obstacles))(
    '%s in its place is a typed error for every call, and stays untouched',
    async (name) => {
      const { workspace, folder } = await temporaryWorkspace()
      const outside = temporaryFolder()
      writeFileSync(join(outside, 'secret'), SECRET)
      mkdirSync(join(folder, 'deep/er'), { recursive: true })
      obstacles[name]?.(join(folder, path), outside)
      const before = lstatSync(join(folder, path), { bigint: true })
      for (const [call, touch] of Object.entries(touches(workspace, path))) {
        // A hard link's content may be replaced: that leaves the other name alone.
        if (name === 'a hard link' && ['write', 'sink'].includes(call) && !path.includes('.md')) continue
        const error = await touch().then(
          () => undefined,
          (error: unknown) => error,
        )
        expect(isWorkspaceError(error, 'NOT_A_FILE'), `${call}: ${error}`).toBe(true)
      }
      expect(readFileSync(join(outside, 'secret'), 'utf8')).toBe(SECRET)
      expect(lstatSync(join(folder, path), { bigint: true })).toMatchObject({
        ino: before.ino,
        size: before.size,
      })
    },
  )

  test('a socket in its place is a typed error', async () => {
    const { workspace, folder } = await temporaryWorkspace()
    mkdirSync(join(folder, 'deep/er'), { recursive: true })
    const server = createServer()
    await new Promise<void>((resolve) => server.listen(join(folder, path), resolve))
    for (const touch of Object.values(touches(workspace, path)))
      await expect(touch()).rejects.toMatchObject({ code: 'NOT_A_FILE', details: { kind: 'socket' } })
    await new Promise((resolve) => server.close(resolve))
  })

  test('a sparse file of 1 TiB is refused at once', async () => {
    const { workspace, folder } = await temporaryWorkspace()
    mkdirSync(join(folder, 'deep/er'), { recursive: true })
    writeFileSync(join(folder, path), '')
    truncateSync(join(folder, path), 2 ** 40)
    for (const [call, touch] of Object.entries(touches(workspace, path))) {
      if (['write', 'sink', 'stream'].includes(call)) continue
      await expect(touch(), call).rejects.toMatchObject({ code: 'TOO_LARGE' })
    }
  })

  test('a lease on it, which holds up whoever opens it, is a typed error at once', async (context) => {
    if (process.platform !== 'linux') return context.skip('only Linux has leases')
    const { workspace, folder } = await temporaryWorkspace()
    mkdirSync(join(folder, 'deep/er'), { recursive: true })
    writeFileSync(join(folder, path), '')
    await leased(join(folder, path))
    const { stream: _, sink: __, ...calls } = touches(workspace, path)
    const [read, ...others] = Object.values(calls)
    await expect(read?.()).rejects.toMatchObject({ code: 'BUSY', details: { path } })
    // What replaces the file as a whole need not open it.
    for (const touch of others)
      await touch().catch((error: unknown) => expect(error).toMatchObject({ code: 'BUSY' }))
  })

  test('a mode of 000 is a typed error for who is not root', async () => {
    const { workspace, folder } = await temporaryWorkspace()
    mkdirSync(join(folder, 'deep/er'), { recursive: true })
    writeFileSync(join(folder, path), '')
    chmodSync(join(folder, path), 0o000)
    if (process.geteuid?.() === 0) {
      chmodSync(folder, 0o755)
      process.seteuid?.(65_534)
      onTestFinished(() => process.seteuid?.(0))
    }
    const [read] = Object.values(touches(workspace, path))
    await expect(read?.()).rejects.toMatchObject({ code: 'ACCESS_DENIED' })
    process.seteuid?.(0)
  })
})

test('a session that the tenant runs as a program cannot be written meanwhile: a typed error', async () => {
  const { workspace, folder } = await temporaryWorkspace()
  const path = join(folder, 'session.jsonl')
  copyFileSync('/bin/sleep', path)
  chmodSync(path, 0o700)
  const running = spawn(path, ['60'])
  const gone = once(running, 'exit')
  await once(running, 'spawn')
  try {
    await expect(workspace.session.append({ role: 'user', content: 'x' })).rejects.toMatchObject({
      code: 'BUSY',
    })
  } finally {
    running.kill()
    await gone
  }
})

describe('symlinks', () => {
  test('at every component of a path are refused, for reading, writing, listing and removing', async () => {
    const { workspace, folder } = await temporaryWorkspace()
    const outside = temporaryFolder()
    mkdirSync(join(outside, 'b/c'), { recursive: true })
    writeFileSync(join(outside, 'b/c/file'), SECRET)
    for (const depth of [0, 1, 2]) {
      const names = ['a', 'b', 'c'].map((name) => `${name}${depth}`)
      mkdirSync(join(folder, ...names.slice(0, depth)), { recursive: true })
      symlinkSync(join(outside, ...['b', 'c'].slice(0, depth)), join(folder, ...names.slice(0, depth + 1)))
      const path = [...names, 'file'].join('/')
      for (const touch of [
        () => workspace.files.read(path),
        () => workspace.files.write(path, 'x'),
        () => workspace.files.remove(path),
        () => all(workspace.files.list(names.join('/'))),
      ])
        await expect(touch()).rejects.toMatchObject({ code: 'NOT_A_DIRECTORY', details: { kind: 'symlink' } })
    }
    expect(readFileSync(join(outside, 'b/c/file'), 'utf8')).toBe(SECRET)
  })

  test('in the places that the package itself makes are refused', async () => {
    const outside = temporaryFolder()
    for (const name of ['.tenantbox', 'session-archive']) {
      const { workspace, folder } = await temporaryWorkspace()
      const { id } = await workspace.session.append({ role: 'user', content: 'x' })
      await workspace.session.append({ id: 'y', role: 'user', content: 'y' })
      expect(id).not.toBe('')
      symlinkSync(outside, join(folder, name))
      await expect(workspace.session.archive('y')).rejects.toMatchObject({ code: 'NOT_A_DIRECTORY' })
    }
    expect(readdirSync(outside)).toEqual([])
  })

  test('are removed, not what they point to', async () => {
    const { workspace, folder } = await temporaryWorkspace()
    const outside = temporaryFolder()
    writeFileSync(join(outside, 'secret'), SECRET)
    symlinkSync(join(outside, 'secret'), join(folder, 'link'))
    expect(await workspace.files.remove('link')).toBe(true)
    expect(await workspace.files.remove('link')).toBe(false)
    expect(readFileSync(join(outside, 'secret'), 'utf8')).toBe(SECRET)
  })
})

describe('paths', () => {
  test.each([
    '',
    '.',
    '..',
    '../x',
    'a/../../x',
    'a/..',
    '/etc/passwd',
    'a//b',
    'a/',
    './a',
    'a\0b',
    '\ud800',
    'x'.repeat(256),
    'é'.repeat(128),
    `${'a/'.repeat(128)}a`,
    'a/'.repeat(3000),
  ])('%j is refused', async (path) => {
    const { workspace } = await temporaryWorkspace()
    for (const touch of Object.values(touches(workspace, path)))
      await expect(touch()).rejects.toMatchObject({ code: 'INVALID_PATH' })
    await expect(workspace.files.remove(path)).rejects.toMatchObject({ code: 'INVALID_PATH' })
  })

  test('of any other kind are names like all', async () => {
    const { workspace } = await temporaryWorkspace()
    for (const path of [
      'new\nline',
      '...',
      '-rf',
      '~',
      '$HOME',
      'a b',
      'memory.md',
      '__proto__',
      '%2e%2e',
      'C:',
      '\\..\\x',
      '‮abc',
    ]) {
      await workspace.files.write(path, path)
      expect(await workspace.files.text(path)).toBe(path)
    }
    expect((await workspace.memory.read()).text).toBe('')
    const listed = await all(workspace.files.list())
    expect(listed.map(({ path }) => path)).toContain('new\nline')
  })

  test('a missing file or folder is NOT_FOUND, and its name is escaped in the message', async () => {
    const { workspace } = await temporaryWorkspace()
    await expect(workspace.files.read('a\u001b[31m')).rejects.toThrow('"a\\u001b[31m"')
    await expect(workspace.files.read('a\u009b31m\u202eb')).rejects.toThrow('"a\\u009b31m\\u202eb"')
    await expect(workspace.files.read('a/b/c')).rejects.toMatchObject({ code: 'NOT_FOUND' })
  })
})

describe('what changes under the gateway', () => {
  test('a file that grows or shrinks between stat and read is read as it is, within the limit', async () => {
    const { workspace, folder } = await temporaryWorkspace()
    const path = join(folder, 'file')
    const fd = openSync(path, 'w')
    let on = true
    const change = (): void => {
      ftruncateSync(fd, 0)
      ftruncateSync(fd, 200_000)
      if (on) next = setImmediate(change)
    }
    let next = setImmediate(change)
    try {
      for (let round = 0; round < 300; round++) {
        const bytes = await workspace.files.read('file', { maxBytes: 300_000 })
        expect(bytes.length).toBeLessThanOrEqual(200_000)
      }
    } finally {
      on = false
      clearImmediate(next)
      closeSync(fd)
    }
    writeFileSync(path, 'x'.repeat(10))
    const reading = workspace.files.read('file', { maxBytes: 10 })
    appendFileSync(path, 'too much')
    await expect(reading).rejects.toMatchObject({ code: 'TOO_LARGE' })
  })

  test('a session truncated or replaced while it is read ends, or goes on with what it was', async () => {
    const { workspace, folder } = await temporaryWorkspace()
    const path = join(folder, 'session.jsonl')
    const lines = (from: number) =>
      Array.from(
        { length: 20_000 },
        (_, index) =>
          `{"id":"${from + index}","at":"2026-01-01T00:00:00Z","role":"user","content":"${'x'.repeat(50)}"}\n`,
      ).join('')
    for (const attack of [
      () => truncateSync(path, 100),
      () => {
        writeFileSync(`${path}2`, 'x')
        renameSync(`${path}2`, path)
      },
    ]) {
      writeFileSync(path, lines(0))
      let seen = 0
      for await (const entry of workspace.session.entries()) {
        expect(entry.id).toBe(`${seen}`)
        if (++seen === 10) attack()
      }
      expect(seen).toBeGreaterThanOrEqual(10)
    }
  })
})

describe('encodings', () => {
  const one = '{"id":"a","text":"x","enabled":true,"createdAt":"2026-01-01T00:00:00Z","every":"1h"}'

  test.each([
    ['a byte order mark', Buffer.from(`\ufeff{"version":1,"schedules":[${one}]}`)],
    ['CRLF', Buffer.from(`{"version":1,\r\n"schedules":[\r\n${one}]}\r\n`)],
    ['invalid UTF-8', Buffer.from(`{"version":1,"schedules":[${one.replace('"x"', '"\xff"')}]}`, 'latin1')],
  ])('schedules with %s are read', async (_name, bytes) => {
    const { workspace, folder } = await temporaryWorkspace()
    writeFileSync(join(folder, 'SCHEDULES.json'), bytes)
    expect((await workspace.schedules.list()).map(({ id }) => id)).toEqual(['a'])
  })

  test('text of a file has no byte order mark, and what is no UTF-8 is replaced', async () => {
    const { workspace, folder } = await temporaryWorkspace()
    writeFileSync(join(folder, 'file'), Buffer.from([0xef, 0xbb, 0xbf, 0x61, 0xff, 0x0d, 0x0a]))
    expect(await workspace.files.text('file')).toBe('a\ufffd\r\n')
  })
})

describe('size', () => {
  const good = '{"id":"good","at":"2026-01-01T00:00:00Z","role":"user","content":"x"}\n'

  test.each([
    ['a million lines', Buffer.from('{}\n'.repeat(100_000)), 10, 20],
    ['one line of 100 MiB', Buffer.alloc(2 ** 20, 'y'), 100, 1],
  ])(
    'a session of %s that are no entries is no trouble',
    { timeout: 120_000 },
    async (_name, block, count, told) => {
      const { workspace, folder, problems } = await temporaryWorkspace()
      const path = join(folder, 'session.jsonl')
      writeFileSync(path, good)
      for (let written = 0; written < count; written++) appendFileSync(path, block)
      appendFileSync(path, `\n${good}`)
      const before = process.memoryUsage.rss()
      expect(await workspace.session.tail(1)).toHaveLength(1)
      // Of what stands in the block that it has read.
      expect(problems.splice(0).length).toBeLessThanOrEqual(told)
      expect(await workspace.session.tail(2)).toHaveLength(2)
      expect(process.memoryUsage.rss() - before).toBeLessThan(400 * 2 ** 20)
      expect(problems).toHaveLength(told)
    },
  )

  test('a folder with 100,000 files is listed as it comes', { timeout: 60_000 }, async () => {
    const { workspace, folder } = await temporaryWorkspace()
    for (let index = 0; index < 100_000; index++) closeSync(openSync(join(folder, `${index}`), 'w'))
    let count = 0
    for await (const { kind } of workspace.files.list()) if (kind === 'file') count++
    expect(count).toBe(100_000)
    expect(await workspace.usage()).toMatchObject({ inodes: 100_001, complete: true })
    for await (const { kind } of workspace.files.list()) {
      expect(kind).toBe('file')
      break
    }
    await workspace.memory.write('still works')
  })

  test('names that are not UTF-8 are left out of a list and counted in usage', async () => {
    const { workspace, folder, problems } = await temporaryWorkspace()
    writeFileSync(Buffer.concat([Buffer.from(`${folder}/`), Buffer.of(0xff, 0xfe)]), 'x'.repeat(5000))
    expect(await all(workspace.files.list())).toEqual([])
    expect(problems).toHaveLength(1)
    expect(await workspace.usage()).toMatchObject({ inodes: 2, complete: true })
    expect((await workspace.usage()).bytes).toBeGreaterThanOrEqual(4096)
  })

  test('folders deeper than any path are counted as far as it goes', async () => {
    const { workspace, folder } = await temporaryWorkspace()
    execFileSync('sh', ['-c', 'for i in $(seq 400); do mkdir d && cd d; done'], { cwd: folder })
    expect(await workspace.usage()).toMatchObject({ complete: false, inodes: 130 })
  })
})
