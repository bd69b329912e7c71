import { execFileSync } from 'node:child_process'
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { isWorkspaceError, Workspace } from '../src/index.js'
import { all } from './support/folder.js'

const MIB = 2 ** 20
const image = join('/tmp', `tenantbox-no-space-${process.pid}.img`)
const mount = `${image}.mount`

/** Why there is no small disk to fill here; undefined when there is one. */
function mountDisk(): string | undefined {
  if (process.platform !== 'linux' || process.getuid?.() !== 0) return 'needs root on Linux, for a loop mount'
  try {
    execFileSync('truncate', ['-s', `${8 * MIB}`, image])
    execFileSync('mkfs.ext4', ['-q', '-F', '-m', '0', '-O', '^has_journal', image])
    mkdirSync(mount)
    execFileSync('mount', ['-o', 'loop', image, mount], { stdio: 'pipe' })
    return undefined
  } catch (error) {
    return `no loop mounts here: ${error instanceof Error ? error.message : error}`
  }
}

function unmountDisk(): void {
  try {
    execFileSync('umount', [mount], { stdio: 'pipe' })
  } catch {
    // It was never mounted.
  }
  rmSync(mount, { recursive: true, force: true })
  rmSync(image, { force: true })
}

let missing: string | undefined
beforeAll(() => {
  missing = mountDisk()
  if (missing !== undefined) console.warn(`Not tested on a full disk: ${missing}`)
})
afterAll(unmountDisk)
process.once('exit', unmountDisk)

/** Takes all the space there is, except for a few bytes if asked to. */
function fill(leave = 0): void {
  for (const [size, name] of [
    [MIB, 'a'],
    [4096, 'b'],
  ] as const)
    try {
      for (let index = 0; ; index++)
        writeFileSync(join(mount, `ballast-${name}-${index}`), Buffer.alloc(size, 'x'))
    } catch (error) {
      expect(error).toMatchObject({ code: 'ENOSPC' })
    }
  if (leave > 0) rmSync(join(mount, 'ballast-b-0'))
}

function empty(): void {
  for (const name of readdirSync(mount)) if (name.startsWith('ballast')) rmSync(join(mount, name))
}

describe('a full disk', () => {
  test('leaves every file as it was, says NO_SPACE, and all works again once there is room', async (context) => {
    if (missing !== undefined) return context.skip(missing)
    const folder = join(mount, 'workspace')
    mkdirSync(folder)
    const workspace = await Workspace.open(folder)
    await workspace.memory.write('# Facts\n\n- old\n')
    await workspace.schedules.add({ id: 'old', text: 'old', every: '1h' })
    await workspace.files.write('notes/file.txt', 'old')
    for (let index = 0; index < 20; index++)
      await workspace.session.append({ id: `old-${index}`, role: 'user', content: 'x'.repeat(1000) })
    fill()

    const big = `${'y'.repeat(1000)}\n\n`.repeat(200)
    const writes: Record<string, () => Promise<unknown>> = {
      'memory.write': () => workspace.memory.write(big),
      'memory.append': () => workspace.memory.append('Facts', big),
      'schedules.add': () => workspace.schedules.add({ text: 'y'.repeat(50_000), every: '1h' }),
      'files.write': () => workspace.files.write('notes/file.txt', big),
      'files.write new': () => workspace.files.write('notes/new.txt', big),
      'session.append': () => workspace.session.append({ role: 'user', content: big }),
      'session.archive': () => workspace.session.archive('old-1'),
      createWriteStream: async () =>
        pipeline(Readable.from([big]), await workspace.files.createWriteStream('notes/file.txt')),
    }
    for (const [name, write] of Object.entries(writes)) {
      const error = await write().then(
        () => undefined,
        (error: unknown) => error,
      )
      expect(isWorkspaceError(error, 'NO_SPACE'), `${name}: ${error}`).toBe(true)
    }
    expect((await workspace.memory.read()).text).toBe('# Facts\n\n- old\n')
    expect((await workspace.schedules.list()).map(({ id }) => id)).toEqual(['old'])
    expect(readFileSync(join(folder, 'notes/file.txt'), 'utf8')).toBe('old')
    expect(readdirSync(join(folder, 'notes'))).toEqual(['file.txt'])
    expect(readdirSync(join(folder, '.tenantbox'))).toEqual([])
    expect(await all(workspace.session.entries())).toHaveLength(20)

    // A line that fits in part is torn by the kernel: no entry before or after it may suffer.
    empty()
    fill(1)
    await expect(workspace.session.append({ role: 'user', content: big })).rejects.toMatchObject({
      code: 'NO_SPACE',
    })
    empty()
    await workspace.session.append({ id: 'new', role: 'user', content: 'x' })
    const entries = await all(workspace.session.entries())
    expect(entries.map(({ id }) => id)).toEqual([
      ...Array.from({ length: 20 }, (_, index) => `old-${index}`),
      'new',
    ])
    await workspace.memory.append('Facts', '- new')
    expect((await workspace.session.archive('new')).entries).toBe(20)
  })
})
