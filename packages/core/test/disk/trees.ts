import { spawnSync } from 'node:child_process'
import { mkdtemp } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { onTestFinished } from 'vitest'

/** A folder of one test, gone when it is over, whatever was made in it. */
export async function makeFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'tenantbox-disk-'))
  // Not `fs.rm`: it breaks on deep trees.
  onTestFinished(() => void spawnSync('rm', ['-rf', folder]))
  return folder
}

/** Runs a command that must succeed. */
export function run(command: string, ...args: string[]): string {
  const { status, stdout, stderr, error } = spawnSync(command, args, { encoding: 'utf8' })
  if (status !== 0) throw error ?? new Error(`${command} ${args.join(' ')}: ${stderr}`)
  return stdout
}

/**
 * Makes folders in one another, each with a 4 KiB file, and in every so many of them an empty folder beside the next;
 * step by step, because no call takes such a path.
 */
export function makeDeepTree(folder: string, levels: number, siblingEvery = levels): void {
  run(
    'python3',
    '-c',
    `import os,sys
os.chdir(sys.argv[1])
for i in range(int(sys.argv[2])):
  if i % int(sys.argv[3]) == 0: os.mkdir('sibling')
  with open('file', 'wb') as f: f.write(b'x' * 4096)
  os.mkdir('abcdefghij'); os.chdir('abcdefghij')`,
    folder,
    String(levels),
    String(siblingEvery),
  )
}

/** What `du` makes of it: an independent measurement in bytes. */
export function du(folder: string): number {
  return Number(run('du', '-s', '--block-size=1', folder).split('\t')[0])
}

/** Mounts as `mount` is told; whatever is mounted there is unmounted when the test is over. */
export function mount(...args: [...string[], string]): void {
  try {
    run('mount', ...args)
  } catch (cause) {
    throw new Error('This test mounts a filesystem: run it as root, with CAP_SYS_ADMIN.', { cause })
  }
  onTestFinished(() => umount(args.at(-1) as string))
}

/** A filesystem of its own. */
export function mountTmpfs(folder: string, size = '16m'): void {
  mount('-t', 'tmpfs', '-o', `size=${size}`, 'none', folder)
}

/** What is mounted at a folder or below, wherever it was mounted at first. */
export function mountsBelow(folder: string): string[] {
  const all = run('findmnt', '--raw', '--noheadings', '--output', 'TARGET').split('\n')
  return all.filter((target) => target === folder || target.startsWith(`${folder}/`))
}

/** Unmounts all of that, the last mounted first. */
export function umount(folder: string): void {
  for (const target of mountsBelow(folder).reverse()) run('umount', target)
}

/** The loop devices of files in a folder. */
export function loopDevices(folder: string): string[] {
  const all = run('losetup', '--list', '--raw', '--noheadings', '--output', 'NAME,BACK-FILE').split('\n')
  return all.filter((line) => line.includes(` ${folder}/`))
}
