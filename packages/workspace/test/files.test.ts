import { once } from 'node:events'
import {
  closeSync,
  fsync,
  linkSync,
  mkdirSync,
  openSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { promisify } from 'node:util'
import { describe, expect, onTestFinished, test } from 'vitest'
import { Workspace } from '../src/index.js'
import { all, temporaryFolder, temporaryWorkspace } from './support/folder.js'

describe('files', () => {
  test('are written with their folders, read, listed and removed', async () => {
    const { workspace } = await temporaryWorkspace()
    await workspace.files.write('a/b/c.bin', Uint8Array.of(1, 2, 3))
    expect(await workspace.files.read('a/b/c.bin')).toEqual(Buffer.of(1, 2, 3))
    await workspace.files.write('a/b/c.bin', 'é')
    expect(await workspace.files.text('a/b/c.bin')).toBe('é')
    const [file, ...others] = await all(workspace.files.list('a/b'))
    expect(others).toEqual([])
    expect(file).toMatchObject({ path: 'a/b/c.bin', kind: 'file', bytes: 2 })
    expect(Math.abs((file?.modifiedAt.getTime() ?? 0) - Date.now())).toBeLessThan(60_000)
    expect((await all(workspace.files.list('a'))).map(({ path, kind }) => [path, kind])).toEqual([
      ['a/b', 'directory'],
    ])
    expect(await workspace.files.remove('a/b/c.bin')).toBe(true)
    expect(await workspace.files.remove('a/b/c.bin')).toBe(false)
    await expect(workspace.files.remove('a/b')).rejects.toMatchObject({ code: 'NOT_A_FILE' })
    await expect(all(workspace.files.list('a/b/c.bin'))).rejects.toMatchObject({ code: 'NOT_FOUND' })
  })

  test('have a limit that the caller sets', async () => {
    const { workspace } = await temporaryWorkspace()
    await workspace.files.write('file', '12345')
    expect(await workspace.files.text('file', { maxBytes: 5 })).toBe('12345')
    await expect(workspace.files.read('file', { maxBytes: 4 })).rejects.toMatchObject({
      code: 'TOO_LARGE',
      details: { bytes: 5, limit: 4 },
    })
  })

  test('stream in and out; a stream that is destroyed leaves the old file and nothing else', async () => {
    const { workspace, folder } = await temporaryWorkspace()
    await workspace.files.write('from', 'x'.repeat(300_000))
    await pipeline(
      await workspace.files.createReadStream('from'),
      await workspace.files.createWriteStream('d/to'),
    )
    expect(await workspace.files.text('d/to')).toBe('x'.repeat(300_000))
    const sink = await workspace.files.createWriteStream('d/to')
    sink.write('half')
    await new Promise((resolve) => sink.on('close', resolve).destroy())
    expect(await workspace.files.text('d/to')).toBe('x'.repeat(300_000))
    expect(readdirSync(join(folder, '.tenantbox'))).toEqual([])
    await workspace.files.write('empty', '')
    expect(await all(await workspace.files.createReadStream('empty'))).toEqual([])
  })
})

test('a stream that is destroyed in the middle of a write lets that end first: its descriptor is not yet free for another file', async () => {
  const { workspace } = await temporaryWorkspace()
  const elsewhere = temporaryFolder()
  for (let round = 0; round < 20; round++) {
    const sink = await workspace.files.createWriteStream('big')
    sink.write(Buffer.alloc(8 * 2 ** 20, 'x'))
    setImmediate(() => sink.destroy())
    await once(sink, 'close')
    const others = Array.from({ length: 8 }, (_, index) => join(elsewhere, `${index}`))
    const opened = others.map((path) => openSync(path, 'w'))
    // Whatever is still under way comes before this in the thread pool, or beside it.
    await Promise.all(opened.map((fd) => promisify(fsync)(fd)))
    for (const fd of opened) closeSync(fd)
    for (const path of others) expect(statSync(path).size).toBe(0)
  }
})

describe('usage', () => {
  test('counts blocks and inodes, files with two names once', async () => {
    const { workspace, folder } = await temporaryWorkspace()
    const before = await workspace.usage()
    writeFileSync(join(folder, 'a'), Buffer.alloc(1_000_000, 'x'))
    mkdirSync(join(folder, 'd'))
    linkSync(join(folder, 'a'), join(folder, 'd/b'))
    symlinkSync('/usr', join(folder, 'd/link'))
    const after = await workspace.usage()
    expect(after.inodes - before.inodes).toBe(3)
    expect(after.bytes - before.bytes).toBeGreaterThanOrEqual(1_000_000)
    expect(after.bytes - before.bytes).toBeLessThan(1_100_000)
    expect(after.complete).toBe(true)
    await expect(workspace.usage({ signal: AbortSignal.abort() })).rejects.toThrow()
  })
})

describe('watch', () => {
  test('tells of changes at any depth, also in folders that are new, moved or gone', async () => {
    const { workspace, folder } = await temporaryWorkspace()
    mkdirSync(join(folder, 'old/deep'), { recursive: true })
    symlinkSync('/usr', join(folder, 'link'))
    const controller = new AbortController()
    const seen = new Set<string>()
    const waiting: { path: string; resolve: () => void }[] = []
    const told = (path: string) =>
      seen.delete(path) ? undefined : new Promise<void>((resolve) => waiting.push({ path, resolve }))
    const watching = (async () => {
      for await (const { path } of workspace.watch({ signal: controller.signal })) {
        const index = waiting.findIndex((waiter) => waiter.path === path)
        if (index === -1) seen.add(path)
        else waiting.splice(index, 1)[0]?.resolve()
      }
    })()
    const change = async (path: string, act: () => void): Promise<void> => {
      act()
      await told(path)
    }
    // The watch begins with the first step of the iteration; something is written until it has.
    for (let ready = false; !ready; ) {
      writeFileSync(join(folder, 'begin'), 'x')
      ready = await Promise.race([
        told('begin')?.then(() => true) ?? true,
        new Promise<boolean>((resolve) => setTimeout(resolve, 20, false)),
      ])
    }
    await change('old/deep/file', () => writeFileSync(join(folder, 'old/deep/file'), 'x'))
    await change('new', () => mkdirSync(join(folder, 'new/er'), { recursive: true }))
    await told('new/er')
    await change('new/er/file', () => writeFileSync(join(folder, 'new/er/file'), 'x'))
    await change('moved', () => renameSync(join(folder, 'old'), join(folder, 'moved')))
    await told('moved/deep')
    await change('moved/deep/other', () => writeFileSync(join(folder, 'moved/deep/other'), 'x'))
    await change('moved', () => rmSync(join(folder, 'moved'), { recursive: true }))
    await workspace.memory.write('x')
    await told('MEMORY.md')
    expect([...seen].filter((path) => path.startsWith('.tenantbox') || path.startsWith('link'))).toEqual([])
    controller.abort()
    await watching
  })

  test('goes on when there are names that are not UTF-8, as long as names can be', async () => {
    const { workspace, folder } = await temporaryWorkspace()
    const named = (name: Buffer) => Buffer.concat([Buffer.from(`${folder}/`), name])
    const controller = new AbortController()
    const seen: string[] = []
    const watching = (async () => {
      for await (const { path } of workspace.watch({ signal: controller.signal })) {
        seen.push(path)
        if (path === 'end') controller.abort()
      }
    })()
    const writing = setInterval(() => {
      writeFileSync(named(Buffer.alloc(255, 0xff)), 'x')
      if (seen.some((path) => path.startsWith('\ufffd'))) writeFileSync(join(folder, 'end'), '')
    }, 10)
    onTestFinished(() => clearInterval(writing))
    await watching
    expect(seen).toContain('end')
  })

  test('ends in the middle of a wait', async () => {
    const { workspace } = await temporaryWorkspace()
    const watched = workspace.watch()[Symbol.asyncIterator]()
    const waiting = watched.next()
    await watched.return?.()
    expect(await waiting).toEqual({ done: true, value: undefined })
  })
})

describe('open', () => {
  test('a workspace must be a folder that is there', async () => {
    const folder = temporaryFolder()
    writeFileSync(join(folder, 'file'), '')
    await expect(Workspace.open(join(folder, 'missing'))).rejects.toMatchObject({ code: 'NOT_FOUND' })
    await expect(Workspace.open(join(folder, 'file'))).rejects.toMatchObject({ code: 'NOT_A_DIRECTORY' })
    await expect(Workspace.open('')).rejects.toMatchObject({ code: 'INVALID_OPTION' })
  })
})
