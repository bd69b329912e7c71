import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { build } from 'tsup'
import { afterAll, beforeAll, onTestFinished } from 'vitest'
import type { Orders, Report } from './errands.js'

const from = (path: string): string => fileURLToPath(new URL(path, import.meta.url))

/** Runs gateways in processes of their own, of the code as it is now. */
export function useGateway(): (orders: Orders) => Promise<ReadyGateway> {
  let folder: string
  beforeAll(async () => {
    // Beneath the package, so that what is not bundled is found: the lock is native code.
    const cache = from('../../node_modules/.cache/')
    await mkdir(cache, { recursive: true })
    folder = await mkdtemp(join(cache, 'gateway-'))
    await build({
      entry: [from('gateway.ts')],
      outDir: folder,
      format: 'esm',
      outExtension: () => ({ js: '.mjs' }),
      skipNodeModulesBundle: true,
      tsconfig: from('../../../../tsconfig.json'),
      config: false,
      silent: true,
    })
  })
  afterAll(() => rm(folder, { recursive: true }))
  return (orders) => runUntilReady(join(folder, 'gateway.mjs'), orders)
}

/** A gateway all of whose errands have got to where it is to be killed. */
export interface ReadyGateway {
  /** What each tenant's agent was told to remember, and has acknowledged. */
  said(tenant: string): readonly string[]
  /** `kill -9`. Resolves with when, once it is gone. */
  kill(): Promise<number>
}

async function runUntilReady(program: string, orders: Orders): Promise<ReadyGateway> {
  const child = fork(program, [JSON.stringify(orders)], { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] })
  onTestFinished(async () => {
    await end(child)
  })
  const latest = new Map<string, Report>()
  await new Promise<void>((resolve, reject) => {
    child.once('exit', () => reject(new Error('The gateway ended by itself.')))
    child.on('message', (report: Report) => {
      const { tenant, failure } = report
      if (failure !== undefined) reject(new Error(`${tenant} did not get to where it should: ${failure}`))
      latest.set(tenant, report)
      if (orders.errands.every((errand) => latest.get(errand.tenant)?.ready)) resolve()
    })
  })
  return { said: (tenant) => latest.get(tenant)?.said ?? [], kill: () => end(child) }
}

async function end(child: ChildProcess): Promise<number> {
  if (child.exitCode === null && child.signalCode === null) {
    const gone = once(child, 'exit')
    child.kill('SIGKILL')
    await gone
  }
  return Date.now()
}
