import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import {
  type DriverSubject,
  MemoryEngine,
  type MemoryImage,
  type MemoryProgram,
} from '@tenantbox/core/testing'
import { SPEC } from './fixtures.js'

const COMMANDS: Record<string, MemoryProgram> = {
  async cat({ stdin, stdout }) {
    for await (const chunk of stdin) stdout.write(chunk)
  },
  fail({ stdout, stderr }) {
    stdout.write('out\n')
    stderr.write('err\n')
    return 5
  },
  where({ env, cwd, stdout }) {
    stdout.write(`${env.GREETING}\n${cwd}\n`)
    return 0
  },
  flood({ stdout }) {
    stdout.write(Buffer.alloc(1_000_000))
    return 0
  },
  sleep: () => new Promise<never>(() => undefined),
  async keep({ env }) {
    await writeFile(join(env.HOME ?? '', 'kept'), '')
  },
}

const agent: MemoryImage = {
  agent(request, { stdout }) {
    const [, path, text] = new URL(request.url).pathname.split('/')
    if (path === 'say') stdout.write(`${text}\n`)
    return new Response('{}', { status: path === 'healthz' || path === 'say' ? 200 : 404 })
  },
  main({ stdout, stderr, signal }) {
    stdout.write('ready\n')
    stderr.write('note\n')
    return new Promise((resolve) => signal.addEventListener('abort', () => resolve(0)))
  },
  exec(process, command) {
    const program = COMMANDS[command[0] ?? '']
    return program ? program(process, command) : 127
  },
}

/** A memory engine with the boxes and commands that the conformance suite needs. */
export async function memorySubject(): Promise<DriverSubject> {
  const engine = new MemoryEngine({
    images: {
      agent,
      stubborn: { ...agent, main: () => new Promise<never>(() => undefined) },
      shortLived: { ...agent, main: () => 3 },
      withoutCommand: { ...agent, agent: false, main: () => 127 },
    },
  })
  const dataDir = await mkdtemp(join(tmpdir(), 'tenantbox-'))
  return {
    driver: engine.driver(),
    another: () => engine.driver(),
    dataDir,
    boxes: {
      agent: SPEC,
      stubborn: { ...SPEC, image: 'stubborn' },
      shortLived: { ...SPEC, image: 'shortLived' },
      withoutCommand: { ...SPEC, image: 'withoutCommand' },
      withoutImage: { ...SPEC, image: 'missing' },
    },
    commands: {
      cat: ['cat'],
      fail: ['fail'],
      where: ['where'],
      flood: ['flood'],
      sleep: ['sleep'],
      keep: ['keep'],
      missing: ['missing'],
    },
    async crash(ref) {
      engine.box(ref.tenant)?.kill()
    },
    async plant(name) {
      const box = engine.plant({ name })
      return { exists: async () => engine.boxes.includes(box), remove: async () => box.remove() }
    },
    cleanup: () => rm(dataDir, { recursive: true }),
  }
}
