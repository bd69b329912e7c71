import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { onTestFinished } from 'vitest'
import { errnoOf } from '../../src/errno.js'
import { useBundled } from '../bundled.js'

export interface GatewayOptions {
  readonly dataDir: string
  /** Where each handling is noted, a line at its begin and one at its end. */
  readonly log: string
  readonly life: number
  readonly maxAttempts: number
}

export interface Order {
  readonly tenant: string
  readonly id: string
  readonly body: 'quick' | 'deadly' | 'endless'
}

export interface Report {
  readonly kind: 'held' | 'waiting' | 'lost' | 'started' | 'posted' | 'refused' | 'begun' | 'done' | 'failed'
  /** Of a message. */
  readonly id?: string
  readonly why?: string
}

export interface Note {
  readonly life: number
  readonly what: 'begun' | 'ended'
  readonly tenant: string
  readonly id: string
  readonly attempt: number
}

export interface GatewayProcess {
  post(order: Order): void
  /** Resolves when there is or was such a report. */
  heard(kind: Report['kind'], id?: string): Promise<void>
  /** All reports there were. */
  readonly reports: readonly Report[]
  /** Resolves with the signal that ended it. */
  readonly exited: Promise<NodeJS.Signals | null>
  signal(signal: 'SIGKILL' | 'SIGSTOP'): void
}

/** Runs gateways in processes of their own. */
export function useGateways(): (options: GatewayOptions) => GatewayProcess {
  const program = useBundled(fileURLToPath(new URL('gateway.ts', import.meta.url)))
  return (options) => run(program(), options)
}

function run(program: string, options: GatewayOptions): GatewayProcess {
  const child = fork(program, [JSON.stringify(options)], { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] })
  const exited = once(child, 'exit').then(([, signal]) => signal as NodeJS.Signals | null)
  onTestFinished(() => end(child, exited))
  const reports: Report[] = []
  const listeners = new Set<() => void>()
  child.on('message', (report: Report) => {
    reports.push(report)
    for (const listener of listeners) listener()
  })
  // It may be killed while an order is on its way.
  child.on('error', () => undefined)
  return {
    reports,
    exited,
    post: (order) => void child.send(order, () => undefined),
    signal: (signal) => void child.kill(signal),
    heard: (kind, id) =>
      new Promise((resolve) => {
        const look = (): void => {
          if (!reports.some((report) => report.kind === kind && (id === undefined || report.id === id)))
            return
          listeners.delete(look)
          resolve()
        }
        listeners.add(look)
        look()
      }),
  }
}

async function end(child: ChildProcess, exited: Promise<unknown>): Promise<void> {
  if (child.exitCode === null && child.signalCode === null) child.kill('SIGKILL')
  await exited
}

/** Everything that was noted, in order. A line that a kill has cut short is nobody's. */
export async function readNotes(log: string): Promise<Note[]> {
  const text = await readFile(log, 'utf8').catch((error) => {
    if (errnoOf(error) === 'ENOENT') return ''
    throw error
  })
  return text
    .split('\n')
    .slice(0, -1)
    .map((line) => JSON.parse(line) as Note)
}
