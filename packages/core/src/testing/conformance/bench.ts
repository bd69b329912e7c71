import assert from 'node:assert/strict'
import { randomBytes, randomUUID } from 'node:crypto'
import { request } from 'node:http'
import type { Duplex } from 'node:stream'
import { text } from 'node:stream/consumers'
import { setTimeout as delay } from 'node:timers/promises'
import { deleteTree } from '../../delete-tree.js'
import type {
  BoxRecord,
  BoxRef,
  Driver,
  DriverEvent,
  DriverReport,
  PoolIdentity,
  ResolvedBoxSpec,
} from '../../driver.js'
import { type AnyTenantBoxError, type ErrorCode, isTenantBoxError } from '../../errors.js'
import { freshen } from '../../freshen.js'
import { slugOf } from '../../identity.js'
import { TenantDirs } from '../../tenant-dirs.js'
import { toMessage } from '../../text.js'
import type { DriverSubject, TestContext } from './subject.js'

/** Nothing that is waited for may take longer. */
const DEADLINE_MS = 20_000
const POLL_MS = 20

/** Declares one test of the suite. */
export type ConformanceTest = (
  name: string,
  body: (bench: DriverBench, context: TestContext) => Promise<void>,
) => void

/** An opened driver with the folders that a pool would make, and what every test does with it. */
export class DriverBench {
  readonly subject: DriverSubject
  readonly pool: PoolIdentity
  readonly report: DriverReport
  readonly #dirs: TenantDirs
  readonly #drivers: Driver[]
  /** By slug, with the users that the boxes got. */
  readonly #specs = new Map<string, ResolvedBoxSpec>()

  static async open(subject: DriverSubject): Promise<DriverBench> {
    const pool: PoolIdentity = {
      name: `t${randomBytes(5).toString('hex')}`,
      owner: randomUUID(),
      dataDir: subject.dataDir,
    }
    const dirs = new TenantDirs(subject.dataDir)
    await dirs.lockPath()
    return new DriverBench(subject, pool, dirs, await subject.driver.open(pool))
  }

  private constructor(subject: DriverSubject, pool: PoolIdentity, dirs: TenantDirs, report: DriverReport) {
    this.subject = subject
    this.pool = pool
    this.report = report
    this.#dirs = dirs
    this.#drivers = [subject.driver]
  }

  get driver(): Driver {
    return this.subject.driver
  }

  /** Another driver of the engine, opened for the same pool unless told otherwise. */
  async another(pool = this.pool): Promise<Driver> {
    const driver = this.subject.another()
    await driver.open(pool)
    this.#drivers.push(driver)
    return driver
  }

  /** Closes the driver, looks, and opens it again. */
  async whileClosed(look: () => Promise<unknown> = async () => undefined): Promise<void> {
    await this.driver.close()
    try {
      await look()
    } finally {
      await this.driver.open(this.pool)
    }
  }

  /** Makes a tenant's folders, as a pool does before it makes a box. */
  async folders(tenant: string, spec: ResolvedBoxSpec): Promise<ResolvedBoxSpec> {
    const slug = slugOf(tenant)
    const { uid } = await this.#dirs.ensure(tenant, slug, this.report.uids)
    const user = spec.user ?? (uid === undefined ? undefined : { uid, gid: uid })
    this.#specs.set(slug, { ...spec, user })
    await this.#freshen(slug)
    return { ...spec, user }
  }

  /** Makes the folders ready for a start, as a pool does before each. */
  async #freshen(slug: string): Promise<void> {
    await freshen(this.#dirs.folders(slug), { token: 'secret' }, this.#specs.get(slug)?.user)
  }

  workspace(ref: BoxRef): string {
    return this.#dirs.folders(ref.slug).workspace
  }

  async create(options: { tenant?: string; spec?: ResolvedBoxSpec; hash?: string } = {}): Promise<BoxRef> {
    const tenant = options.tenant ?? 'Ann 1'
    const spec = await this.folders(tenant, options.spec ?? this.subject.boxes.agent)
    await this.driver.prepare(spec)
    const identity = { tenant, slug: slugOf(tenant), spec: options.hash ?? 'hash-1' }
    return this.driver.create(identity, spec)
  }

  /** A box whose agent answers. */
  async running(options: { tenant?: string; spec?: ResolvedBoxSpec } = {}): Promise<BoxRef> {
    const ref = await this.create(options)
    await this.start(ref)
    return ref
  }

  async start(ref: BoxRef): Promise<{ startedAt: number }> {
    await this.#freshen(ref.slug)
    const life = await this.driver.start(ref)
    await this.eventually('the agent answers', async () => (await this.get(ref, '/healthz')) === 200)
    return life
  }

  dial(ref: BoxRef, driver = this.driver): Promise<Duplex> {
    const transport = this.#specs.get(ref.slug)?.transport ?? 'socket'
    return driver.dial(ref, transport === 'socket' ? {} : { port: transport.port })
  }

  /** The status of the agent's answer. */
  async get(ref: BoxRef, path: string, driver = this.driver): Promise<number> {
    return answerOver(await this.dial(ref, driver), path)
  }

  async record(ref: BoxRef): Promise<BoxRecord> {
    const record = await this.driver.inspect(ref)
    assert.ok(record, 'the box is gone')
    return record
  }

  /** Waits until the box is in this state. */
  async settled(ref: BoxRef, state: BoxRecord['state']): Promise<BoxRecord> {
    await this.eventually(`the box is ${state}`, async () => (await this.record(ref)).state === state)
    return this.record(ref)
  }

  /** Asks until it is so; a question that fails was answered no. */
  async eventually(what: string, isSo: () => Promise<boolean>): Promise<void> {
    const until = performance.now() + DEADLINE_MS
    let last: unknown = 'no'
    while (performance.now() < until) {
      try {
        if (await isSo()) return
      } catch (error) {
        last = error
      }
      await delay(POLL_MS)
    }
    assert.fail(`within ${DEADLINE_MS} ms: ${what} (${toMessage(last)})`)
  }

  async close(): Promise<void> {
    try {
      for (const { ref } of await this.driver.list()) await this.driver.remove(ref)
      assert.deepEqual(await this.driver.list(), [], 'boxes are left')
    } finally {
      for (const driver of this.#drivers) await driver.close()
      // Whose secrets nobody may write, not even `rm` of their owner.
      for (const slug of this.#specs.keys()) await deleteTree(this.#dirs.folders(slug).root)
      await this.subject.cleanup()
    }
  }
}

/** Fails unless `promise` settles in good time. */
export async function within<T>(promise: PromiseLike<T>, what: string, ms = DEADLINE_MS): Promise<T> {
  const timer = new AbortController()
  const late = delay(ms, undefined, { signal: timer.signal }).then(() =>
    assert.fail(`not within ${ms} ms: ${what}`),
  )
  // Aborted when it is no longer needed.
  late.catch(() => undefined)
  try {
    return await Promise.race([promise, late])
  } finally {
    timer.abort()
  }
}

/** Fails unless `promise` rejects with a TenantBox error, of this code if one is given. */
export async function refuses<C extends ErrorCode>(
  promise: Promise<unknown>,
  ...codes: readonly C[]
): Promise<AnyTenantBoxError<C>> {
  const [failure] = await Promise.allSettled([within(promise, 'the refusal')])
  const error: unknown = failure.status === 'rejected' ? failure.reason : 'no error'
  if (isTenantBoxError(error, ...codes)) return error
  const got = error instanceof Error ? error.stack : error
  return assert.fail(`expected ${codes.join() || 'a TenantBox error'}, got ${got}`)
}

/** Reads events until there is one of this type and box. */
export function nextEvent(
  events: AsyncIterator<DriverEvent>,
  type: DriverEvent['type'],
  ref: BoxRef,
): Promise<DriverEvent> {
  const read = async (): Promise<DriverEvent> => {
    for (;;) {
      const { done, value } = await events.next()
      if (done) return assert.fail(`the events ended before '${type}'`)
      if (value.type === type && value.ref.id === ref.id) return value
    }
  }
  return within(read(), `an event '${type}'`)
}

/** What is written to a stream until it ends. */
export function output(stream: NodeJS.ReadableStream): Promise<string> {
  return within(text(stream), 'the end of the output')
}

/** Sends a request over a connection and returns the status of the answer. The connection is closed. */
export function answerOver(connection: Duplex, path: string): Promise<number> {
  const answer = new Promise<number>((resolve, reject) => {
    const sent = request({ path, createConnection: () => connection, headers: { connection: 'close' } })
    sent.once('error', reject)
    sent.once('response', (response) => {
      response.resume().once('close', () => resolve(response.statusCode ?? 0))
    })
    sent.end()
  })
  return within(answer, `an answer to ${path}`).finally(() => connection.destroy())
}
