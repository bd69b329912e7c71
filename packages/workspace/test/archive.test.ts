import { once } from 'node:events'
import {
  appendFileSync,
  existsSync,
  linkSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { setImmediate } from 'node:timers/promises'
import { beforeAll, describe, expect, test, vi } from 'vitest'
import { finishArchive, finishArchives, isSettled } from '../src/archive-finish.js'
import { openArchives, partialsIn } from '../src/archive-folder.js'
import { Workspace } from '../src/index.js'
import { isCurrent, openSessionToAppend } from '../src/session-file.js'
import { writeLine } from '../src/write-line.js'
import { expireClaims } from './support/archives.js'
import { buildProgram, withProgram } from './support/child.js'
import { all, temporaryFolder, temporaryWorkspace } from './support/folder.js'

const entry = (id: string) =>
  ({ id, at: `2026-01-01T00:00:0${id.length}Z`, role: 'user', content: id }) as const
const line = (id: string) => `${JSON.stringify(entry(id))}\n`
const idsIn = (text: string) =>
  text
    .split('\n')
    .filter((found) => found !== '')
    .map((found) => JSON.parse(found).id)

/** The entries of the session and of all finished archives. */
async function contents(
  workspace: Workspace,
  folder: string,
): Promise<{ session: string[]; archived: string[] }> {
  const archives = join(folder, 'session-archive')
  const names = existsSync(archives) ? readdirSync(archives).filter((name) => name.endsWith('.jsonl')) : []
  return {
    session: (await all(workspace.session.entries())).map(({ id }) => id),
    archived: names
      .sort()
      .flatMap((name) => idsIn(readFileSync(join(folder, 'session-archive', name), 'utf8'))),
  }
}

describe('archive', () => {
  test('moves what stands before an entry, or before a time', async () => {
    const { workspace, folder } = await temporaryWorkspace()
    for (const id of ['a', 'bb', 'ccc', 'dddd']) await workspace.session.append(entry(id))
    const { path, entries } = await workspace.session.archive('bb')
    expect(entries).toBe(1)
    expect(idsIn(readFileSync(join(folder, path), 'utf8'))).toEqual(['a'])
    expect((await workspace.session.archive('2026-01-01T00:00:03.5Z')).entries).toBe(2)
    expect(await contents(workspace, folder)).toEqual({ session: ['dddd'], archived: ['a', 'bb', 'ccc'] })
    expect(readdirSync(join(folder, '.tenantbox'))).toEqual([])
  })

  test('of nothing is nothing, and before nobody is NOT_FOUND', async () => {
    const { workspace, folder } = await temporaryWorkspace()
    await expect(workspace.session.archive('a')).rejects.toMatchObject({ code: 'NOT_FOUND' })
    await workspace.session.append(entry('a'))
    expect(await workspace.session.archive('a')).toEqual({ path: '', entries: 0 })
    await expect(workspace.session.archive('b')).rejects.toMatchObject({ code: 'NOT_FOUND' })
    expect(readdirSync(folder)).not.toContain('session-archive')
  })

  test('leaves bad and torn lines to the archive, and what is kept as it was, byte by byte', async () => {
    const { workspace, folder } = await temporaryWorkspace()
    const kept = `${line('bb')}nonsense\n{"id": "ccc", "at": "2026-01-01T00:00:00Z", "role": "user", "content": "é", "new": 1}\n`
    writeFileSync(join(folder, 'session.jsonl'), `bad\n${line('a')}${kept}{"torn`)
    expect((await workspace.session.archive('bb')).entries).toBe(1)
    expect(readFileSync(join(folder, 'session.jsonl'), 'utf8')).toBe(kept)
  })

  test('while many append, in this process: nothing is lost or doubled', async () => {
    const folder = temporaryFolder()
    const workspace = await Workspace.open(folder)
    const writers = await Promise.all(Array.from({ length: 6 }, () => Workspace.open(folder)))
    const expected: string[] = []
    await workspace.session.append(entry('first'))
    for (let round = 0; round < 100; round++) {
      const [before] = await workspace.session.tail(1)
      const appends = writers.map(async (writer, index) => {
        const id = `${round}-${index}`
        await setImmediate()
        await writer.session.append({ ...entry('x'), id })
        expected.push(id)
      })
      await Promise.all([workspace.session.archive(before?.id ?? ''), ...appends])
    }
    const { session, archived } = await contents(workspace, folder)
    expect([...archived, ...session].sort()).toEqual(['first', ...expected].sort())
  })
})

describe('a writer that was suspended between its open and its write', () => {
  const bytes = (id: string) => Buffer.from(line(id))

  test('finds its line in a finished archive, and takes it back to write it again', async () => {
    const { workspace, folder } = await temporaryWorkspace()
    for (const id of ['a', 'bb']) await workspace.session.append(entry(id))
    using file = openSessionToAppend(folder)
    await workspace.session.archive('bb')
    expect(await writeLine(file, bytes('late'))).toBe(true)
    expect(isCurrent(folder, file)).toBe(false)
    expect(await isSettled(folder, file, bytes('late'))).toBe(false)
    expect(await contents(workspace, folder)).toEqual({ session: ['bb'], archived: ['a'] })
  })

  test.each([
    ['was written far behind the place it had looked at', true, false],
    ['was archived far behind the place it had looked at', false, true],
  ])('finds its line also when that %s', async (_name, late, settled) => {
    const { workspace, folder } = await temporaryWorkspace()
    await workspace.session.append(entry('a'))
    using file = openSessionToAppend(folder)
    for (let index = 0; index < 8; index++)
      await workspace.session.append({ ...entry('bb'), content: 'x'.repeat(250_000) })
    if (!late) await writeLine(file, bytes('mine'))
    await workspace.session.append(entry('last'))
    await workspace.session.archive('last')
    if (late) await writeLine(file, bytes('mine'))
    expect(await isSettled(folder, file, bytes('mine'))).toBe(settled)
    expect((await contents(workspace, folder)).archived.includes('mine')).toBe(settled)
  })

  test('leaves its line where it is when that was archived with the others, or carried over', async () => {
    const { workspace, folder } = await temporaryWorkspace()
    await workspace.session.append(entry('a'))
    using file = openSessionToAppend(folder)
    expect(await writeLine(file, bytes('early'))).toBe(true)
    for (const id of ['bb', 'ccc']) await workspace.session.append(entry(id))
    await workspace.session.archive('bb')
    expect(await isSettled(folder, file, bytes('early'))).toBe(true)
    expect(await isSettled(folder, file, bytes('ccc'))).toBe(true)
    expect(await contents(workspace, folder)).toEqual({ session: ['bb', 'ccc'], archived: ['a', 'early'] })
  })

  test('writes again what became part of a line that somebody else left torn', async () => {
    const { workspace, folder } = await temporaryWorkspace()
    await workspace.session.append(entry('a'))
    using file = openSessionToAppend(folder)
    appendFileSync(join(folder, 'session.jsonl'), `${'x'.repeat(2_000_000)}\n{"torn`)
    expect(await writeLine(file, bytes('spliced'))).toBe(false)
    await workspace.session.append(entry('spliced'))
    expect((await all(workspace.session.entries())).map(({ id }) => id)).toEqual(['a', 'spliced'])
  })
})

describe('an archive whose maker died', () => {
  /** A folder as it is after the session's file was replaced, and nothing else was done. */
  function abandoned(
    session: string,
    old: { archived: string; kept: string; late: string },
    claimedAt = Date.now() - 60_000,
  ) {
    const folder = temporaryFolder()
    mkdirSync(join(folder, 'session-archive'))
    writeFileSync(join(folder, 'session.jsonl'), session)
    const cut = Buffer.byteLength(old.archived)
    const end = cut + Buffer.byteLength(old.kept)
    linkSync(join(folder, 'session.jsonl'), join(folder, 'session-archive/2026-01-01.next'))
    const name = `2026-01-01.${cut}-${end}.${claimedAt}.partial`
    writeFileSync(join(folder, 'session-archive', name), old.archived + old.kept + old.late)
    return folder
  }

  test.each([
    ['lines that came late are carried over', line('ccc') + line('eeeee'), ['ccc', 'eeeee', 'dddd', 'f']],
    ['one that was carried over already is not doubled', line('ccc') + line('dddd'), ['ccc', 'dddd', 'f']],
  ])('is finished by the next append: %s', async (_name, session, expected) => {
    const folder = abandoned(session, {
      archived: line('a') + line('bb'),
      kept: line('ccc'),
      late: line('dddd'),
    })
    const workspace = await Workspace.open(folder)
    await workspace.session.append(entry('f'))
    expect(await contents(workspace, folder)).toEqual({ session: expected, archived: ['a', 'bb'] })
    expect(readdirSync(join(folder, 'session-archive'))).toEqual([
      `2026-01-01.${Buffer.byteLength(line('a') + line('bb'))}.jsonl`,
    ])
  })

  test('comes before what is appended now: what it carries over was said before that', async () => {
    const folder = abandoned(
      line('ccc'),
      { archived: line('a') + line('bb'), kept: line('ccc'), late: line('dddd') },
      Date.now(),
    )
    const workspace = await Workspace.open(folder)
    const appending = workspace.session.append(entry('f'))
    for (let turn = 0; turn < 100; turn++) await setImmediate()
    // Its maker was alive, only slow.
    using archives = openArchives(folder)
    const [partial] = archives ? partialsIn(archives) : []
    if (!archives || !partial) throw new Error('The archive was finished by somebody else.')
    await finishArchive(folder, archives, partial)
    await appending
    expect(await contents(workspace, folder)).toEqual({
      session: ['ccc', 'dddd', 'f'],
      archived: ['a', 'bb'],
    })
  })

  test('is left to who has taken it over by a maker that was suspended until then, also when that dies too', async () => {
    const folder = abandoned(
      line('ccc'),
      { archived: line('a'), kept: line('ccc'), late: line('dddd') },
      Date.now(),
    )
    using archives = openArchives(folder)
    const [partial] = archives ? partialsIn(archives) : []
    if (!archives || !partial) throw new Error('There is no archive to finish.')
    const open = archives.open.bind(archives)
    vi.spyOn(archives, 'open').mockImplementation((...args) => {
      const file = open(...args)
      vi.spyOn(file, 'sync').mockImplementation(async () => expireClaims(folder))
      return file
    })
    expect(await finishArchive(folder, archives, partial)).toBe(false)
    const workspace = await Workspace.open(folder)
    await workspace.session.append(entry('f'))
    expect(await contents(workspace, folder)).toEqual({ session: ['ccc', 'dddd', 'f'], archived: ['a'] })
  })

  test('loses none of a thousand and more lines that came late', async () => {
    const late = Array.from({ length: 1500 }, (_, index) => `late-${index}`)
    const folder = abandoned(line('ccc'), {
      archived: line('a'),
      kept: line('ccc'),
      late: late.map((id) => `${JSON.stringify({ ...entry('x'), id, content: 'x'.repeat(100) })}\n`).join(''),
    })
    const workspace = await Workspace.open(folder)
    await workspace.session.append(entry('f'))
    expect(await contents(workspace, folder)).toEqual({ session: ['ccc', ...late, 'f'], archived: ['a'] })
  })

  test('is waited for by the next archive, for as long as its maker may be alive', async () => {
    const folder = abandoned(
      line('ccc') + line('dddd'),
      { archived: line('a'), kept: line('ccc'), late: '' },
      Date.now() - 4500,
    )
    const workspace = await Workspace.open(folder)
    const began = Date.now()
    await workspace.session.archive('dddd')
    expect(Date.now() - began).toBeGreaterThan(300)
    expect(await contents(workspace, folder)).toEqual({ session: ['dddd'], archived: ['a', 'ccc'].sort() })
  })

  test('before the session was replaced has done nothing: its second name hinders nobody, and goes with the next archive', async () => {
    const { workspace, folder } = await temporaryWorkspace()
    for (const id of ['a', 'bb', 'ccc']) await workspace.session.append(entry(id))
    mkdirSync(join(folder, 'session-archive'))
    for (const stamp of ['x', 'y'])
      linkSync(join(folder, 'session.jsonl'), join(folder, 'session-archive', `${stamp}.5-9.1.partial`))
    await workspace.session.append(entry('dddd'))
    expect(await workspace.session.tail(9)).toHaveLength(4)
    await workspace.session.archive('ccc')
    expect(await contents(workspace, folder)).toEqual({ session: ['ccc', 'dddd'], archived: ['a', 'bb'] })
    expect(readdirSync(join(folder, 'session-archive'))).toHaveLength(1)
  })

  test('before the session was replaced is not finished when somebody else removes the session', async () => {
    const { workspace, folder } = await temporaryWorkspace()
    for (const id of ['a', 'bb', 'ccc']) await workspace.session.append(entry(id))
    mkdirSync(join(folder, 'session-archive'))
    const cut = line('a').length
    linkSync(join(folder, 'session.jsonl'), join(folder, `session-archive/x.${cut}-${cut}.1.partial`))
    writeFileSync(join(folder, 'session-archive/x.next'), '')
    rmSync(join(folder, 'session.jsonl'))
    await (await Workspace.open(folder)).session.append(entry('new'))
    expect(await contents(workspace, folder)).toEqual({ session: ['new'], archived: [] })
  })

  test('a forged one harms nothing outside, and stops no append', async () => {
    const outside = temporaryFolder()
    writeFileSync(join(outside, 'secret'), line('secret'))
    const forgeries: ((path: string) => void)[] = [
      (path) => symlinkSync(join(outside, 'secret'), path),
      (path) => linkSync(join(outside, 'secret'), path),
      (path) => mkdirSync(path),
      (path) => writeFileSync(path, line('forged')),
    ]
    for (const forge of forgeries) {
      const { workspace, folder } = await temporaryWorkspace()
      appendFileSync(join(folder, 'session.jsonl'), line('a'))
      mkdirSync(join(folder, 'session-archive'))
      linkSync(join(folder, 'session.jsonl'), join(folder, 'session-archive/z.next'))
      forge(join(folder, 'session-archive', `z.0-${line('secret').length}.1.partial`))
      await workspace.session.append(entry('bb'))
      expect((await all(workspace.session.entries())).map(({ id }) => id)).toEqual(['a', 'bb'])
    }
    expect(readFileSync(join(outside, 'secret'), 'utf8')).toBe(line('secret'))
  })
})

describe('an archiver that is killed', () => {
  let archiver: string
  beforeAll(async () => {
    archiver = await buildProgram('doomed-archiver')
  })

  test('before any of its calls: nothing is lost or doubled, nor what writers add that had opened the session', {
    timeout: 120_000,
  }, async () => {
    let fatal = 1
    for (let ended = false; !ended; fatal++) {
      const { workspace, folder } = await temporaryWorkspace()
      for (const id of ['a', 'bb', 'ccc', 'dddd']) await workspace.session.append(entry(id))
      using suspended = openSessionToAppend(folder)
      using simple = openSessionToAppend(folder)
      await withProgram(archiver, [folder, 'ccc', `${fatal}`], async (child) => {
        const [code, signal] = await once(child, 'exit')
        ended = signal === null
        expect([code, signal]).toEqual(ended ? [0, null] : [null, 'SIGKILL'])
      })
      const finished = (await contents(workspace, folder)).archived.length > 0
      // In another language, without a look at what has become of the session.
      if (!finished) appendFileSync(simple.fd, line('simple'))
      expireClaims(folder)
      const late = entry('late')
      expect(await writeLine(suspended, Buffer.from(line('late')))).toBe(true)
      if (!isCurrent(folder, suspended)) {
        expect(await finishArchives(folder)).toBe(true)
        if (!(await isSettled(folder, suspended, Buffer.from(line('late')))))
          await workspace.session.append(late)
      }
      await (await Workspace.open(folder)).session.append(entry('next'))
      const expected = [...(finished ? [] : ['simple']), 'late', 'next']
      const found = await contents(workspace, folder)
      expect([...found.archived, ...found.session], `killed before call ${fatal}`).toEqual([
        ...['a', 'bb', 'ccc', 'dddd'],
        ...expected,
      ])

      await workspace.session.archive('late')
      expect((await contents(workspace, folder)).session).toEqual(['late', 'next'])
      const left = readdirSync(join(folder, 'session-archive')).filter((name) => !name.endsWith('.jsonl'))
      expect(left, `killed before call ${fatal}`).toEqual([])
    }
    expect(fatal).toBeGreaterThan(20)
  })
})
