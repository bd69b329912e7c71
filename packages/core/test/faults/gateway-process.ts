import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { onTestFinished } from 'vitest'
import { useBundled } from '../bundled.js'
import type { Orders, Report } from './errands.js'

/** Runs gateways in processes of their own, of the code as it is now. */
export function useGateway(): (orders: Orders) => Promise<ReadyGateway> {
  const program = useBundled(fileURLToPath(new URL('gateway.ts', import.meta.url)))
  return (orders) => runUntilReady(program(), orders)
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
