import { execFileSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { basename } from 'node:path'
import { Readable } from 'node:stream'
import type Docker from 'dockerode'

/** What the tests run inside boxes: this machine's own programs, so that nothing has to be downloaded. */
const PROGRAMS = ['sh', 'cat', 'grep', 'id', 'ls', 'perl', 'sleep']

const PASSWD = 'root:x:0:0:root:/root:/bin/sh\nimage-user:x:1234:1234::/home/image-user:/bin/sh\n'
const GROUP = 'root:x:0:\nimage-group:x:1234:\n'

export interface ImageFile {
  readonly path: string
  readonly content: string | Buffer
  readonly mode?: number
  /** The value of `security.capability`, by which the kernel gives a program rights whoever runs it. */
  readonly capabilities?: Buffer
}

/** Imports an image of the given files under `name`. */
export async function importImage(
  docker: Docker,
  name: string,
  files: readonly ImageFile[],
  changes: readonly string[] = [],
): Promise<void> {
  const [repo, tag] = name.split(':')
  const stream = await docker.importImage(Readable.from([tar(files)]), { repo, tag, changes: [...changes] })
  stream.resume()
  await new Promise((resolve, reject) => stream.once('end', resolve).once('error', reject))
}

/** A shell, perl and a few tools with the libraries they need, and accounts of the image's own. */
export function toolFiles(): ImageFile[] {
  return programFiles(PROGRAMS.map(find))
}

/** The same with Node and `head`, for agents. */
export function nodeFiles(): ImageFile[] {
  return programFiles([process.execPath, find('head'), ...PROGRAMS.map(find)])
}

/** Programs of this machine, with the libraries they need. */
export function programFiles(paths: readonly string[]): ImageFile[] {
  const libraries = new Set(paths.flatMap(librariesOf))
  return [
    ...paths.map((path) => ({ path: `bin/${basename(path)}`, content: readFileSync(path), mode: 0o755 })),
    ...[...libraries].map((path) => ({ path: path.slice(1), content: readFileSync(path), mode: 0o755 })),
    { path: 'etc/passwd', content: PASSWD },
    { path: 'etc/group', content: GROUP },
  ]
}

/** Where this machine has a program. */
export function find(program: string): string {
  for (const folder of ['/bin', '/usr/bin'])
    if (existsSync(`${folder}/${program}`)) return `${folder}/${program}`
  throw new Error(`These tests need ${program} on this machine, in /bin or /usr/bin.`)
}

function librariesOf(path: string): string[] {
  const listed = execFileSync('/usr/bin/ldd', [path], { encoding: 'utf8' })
  return [...listed.matchAll(/(\/\S+) \(0x/g)].map((match) => match[1] ?? '')
}

/** A tar archive of regular files; the engine makes the folders. */
export function tar(files: readonly ImageFile[]): Buffer {
  const entries = files.flatMap(({ path, content, mode = 0o644, capabilities }) => [
    ...(capabilities ? entry('pax', 0o644, 'x', extended('security.capability', capabilities)) : []),
    ...entry(path, mode, '0', Buffer.from(content)),
  ])
  return Buffer.concat([...entries, Buffer.alloc(1024)])
}

function entry(path: string, mode: number, type: '0' | 'x', bytes: Buffer): Buffer[] {
  const header = Buffer.alloc(512)
  const field = (at: number, length: number, value: number) =>
    header.write(value.toString(8).padStart(length - 1, '0'), at, 'latin1')
  header.write(path, 0, 100, 'utf8')
  field(100, 8, mode)
  field(108, 8, 0)
  field(116, 8, 0)
  field(124, 12, bytes.length)
  field(136, 12, 0)
  header.write('        ', 148, 'latin1')
  header.write(type, 156, 'latin1')
  header.write('ustar\x0000', 257, 'latin1')
  field(
    148,
    7,
    header.reduce((sum, byte) => sum + byte, 0),
  )
  return [header, bytes, Buffer.alloc((512 - (bytes.length % 512)) % 512)]
}

/** A pax record, which begins with its own length. */
function extended(attribute: string, value: Buffer): Buffer {
  const body = Buffer.concat([Buffer.from(` SCHILY.xattr.${attribute}=`), value, Buffer.from('\n')])
  const digits = String(body.length + String(body.length).length).length
  return Buffer.concat([Buffer.from(String(body.length + digits)), body])
}
