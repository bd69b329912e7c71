import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { buffer } from 'node:stream/consumers'
import { Workspace } from '@tenantbox/workspace'
import { unzipSync } from 'fflate'
import { describe, expect, it, onTestFinished } from 'vitest'
import { ExportTooLarge, exportZip } from '../src/gateway/export-zip.js'

async function folder(): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), 'companion-export-'))
  onTestFinished(() => rm(path, { recursive: true }))
  return path
}

const LIMITS = { bytes: 1_000, files: 10, depth: 3 }

describe('the export', () => {
  it('has every file, as it is', async () => {
    const home = await folder()
    await mkdir(join(home, 'inbox/deep'), { recursive: true })
    await mkdir(join(home, '.tenantbox'))
    const bytes = Buffer.from([0, 255, 13, 10, 26])
    await writeFile(join(home, 'MEMORY.md'), '# Grüße\n')
    await writeFile(join(home, 'inbox/deep/ünï.bin'), bytes)
    await writeFile(join(home, 'empty'), '')
    await writeFile(join(home, '.tenantbox/half-written'), 'x')
    const files = unzipSync(await buffer(await exportZip(await Workspace.open(home), LIMITS)))
    expect(Object.keys(files).sort()).toEqual(['MEMORY.md', 'empty', 'inbox/deep/ünï.bin'])
    expect(Buffer.from(files['inbox/deep/ünï.bin'] ?? [])).toEqual(bytes)
    expect(Buffer.from(files['MEMORY.md'] ?? []).toString()).toBe('# Grüße\n')
  })

  it('has no name that is unpacked elsewhere, or onto another, on any system', async () => {
    const home = await folder()
    const names = [
      '..\\..\\evil.exe',
      'C:evil',
      '\\\\server\\share',
      'CON.txt',
      'dot.',
      'dot',
      'a:b',
      'a_b',
      'README',
      'Readme',
      'line\nbreak',
      'ends \u202Eexe.txt',
      'e\u0301',
      '\u00E9',
    ]
    for (const name of names) await writeFile(join(home, name), name)
    await mkdir(join(home, 'sub\\..'))
    await mkdir(join(home, 'sub_..'))
    await writeFile(join(home, 'sub\\..', 'x?'), 'one')
    await writeFile(join(home, 'sub_..', 'x?'), 'other')
    const limits = { ...LIMITS, files: 100 }
    const files = unzipSync(await buffer(await exportZip(await Workspace.open(home), limits)))
    const unpacked = Object.keys(files)
    expect(new Set(unpacked.map((name) => name.normalize('NFC').toLowerCase())).size).toBe(names.length + 2)
    for (const name of unpacked)
      for (const segment of name.split('/')) {
        expect(segment).toMatch(/^[^<>:"\\|?*\p{Cc}\p{Cf}]+$/u)
        expect(segment).not.toMatch(/^\.+$|[. ]$|^(con|prn|aux|nul|com\d|lpt\d)(\.|$)/i)
      }
    const contents = unpacked.map((name) => Buffer.from(files[name] ?? []).toString())
    expect(contents.sort()).toEqual([...names, 'one', 'other'].sort())
  })

  it('follows nothing out of the workspace', async () => {
    const [home, outside] = [await folder(), await folder()]
    await writeFile(join(outside, 'secret'), 'of another tenant')
    await symlink(join(outside, 'secret'), join(home, 'file'))
    await symlink(outside, join(home, 'folder'))
    await writeFile(join(home, 'own'), 'mine')
    const zip = await buffer(await exportZip(await Workspace.open(home), LIMITS))
    expect(Object.keys(unzipSync(zip))).toEqual(['own'])
    expect(zip.includes('of another tenant')).toBe(false)
  })

  it('follows nothing that has taken the place of a file meanwhile', async () => {
    const [home, outside] = [await folder(), await folder()]
    await writeFile(join(outside, 'secret'), 'of another tenant')
    await writeFile(join(home, 'file'), 'mine')
    const stream = await exportZip(await Workspace.open(home), LIMITS)
    await rm(join(home, 'file'))
    await symlink(join(outside, 'secret'), join(home, 'file'))
    expect(Object.keys(unzipSync(await buffer(stream)))).toEqual([])
  })

  it('is refused where there is too much, before a byte is read', async () => {
    const [large, many, deep, folders] = [await folder(), await folder(), await folder(), await folder()]
    await writeFile(join(large, 'file'), Buffer.alloc(1_001))
    for (let number = 0; number < 11; number++) await writeFile(join(many, `file-${number}`), '')
    await mkdir(join(deep, 'a/b/c/d'), { recursive: true })
    for (let number = 0; number < 11; number++) await mkdir(join(folders, `folder-${number}`))
    for (const home of [large, many, deep, folders])
      await expect(exportZip(await Workspace.open(home), LIMITS)).rejects.toThrow(ExportTooLarge)
  })

  it('ends when files grow while they are being read', async () => {
    const home = await folder()
    await writeFile(join(home, 'file'), 'small')
    const stream = await exportZip(await Workspace.open(home), LIMITS)
    await writeFile(join(home, 'file'), Buffer.alloc(100_000))
    await expect(buffer(stream)).rejects.toThrow(ExportTooLarge)
  })
})
