import { randomBytes, randomUUID } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { type DockerOptions, docker } from '@tenantbox/core/docker'
import Docker from 'dockerode'
import { afterAll, beforeAll, expect, onTestFinished } from 'vitest'
import type { BoxRef, Driver, DriverReport, PoolIdentity, ResolvedBoxSpec } from '../../src/driver.js'
import { freshen } from '../../src/freshen.js'
import { LABELS, slugOf } from '../../src/identity.js'
import { TenantDirs } from '../../src/tenant-dirs.js'
import { type ImageFile, importImage, nodeFiles, toolFiles } from './image.js'

/** The engine of these tests, spoken to directly, behind the driver's back. */
export const engine = connectToEngine()

function connectToEngine(): Docker {
  if (!process.env.DOCKER_HOST)
    throw new Error(
      'These tests need a Docker engine: set DOCKER_HOST, or run them by `npm test`, which finds or starts one.',
    )
  return new Docker()
}

/** An image with a shell, perl and a few tools, there for the tests of one file. */
export function useToolImage(): string {
  return useImage(toolFiles)
}

/** The same with Node. */
export function useNodeImage(): string {
  return useImage(nodeFiles)
}

function useImage(files: () => ImageFile[]): string {
  const name = `tenantbox-test:${randomBytes(6).toString('hex')}`
  beforeAll(() => importImage(engine, name, files()))
  afterAll(() => engine.getImage(name).remove({ force: true }))
  return name
}

/** A pool of one test: an opened driver, tenants' folders, and at its end nothing left at the engine. */
export interface World {
  readonly driver: Driver
  readonly report: DriverReport
  readonly pool: PoolIdentity
  /** Makes the tenant's folders, as the pool does before it makes a box. */
  folders(tenant: string): Promise<{ uid: number | undefined }>
  /** Makes a stopped box that runs `command`. */
  box(tenant: string, spec: ResolvedBoxSpec): Promise<BoxRef>
}

export async function makeWorld(options: DockerOptions = {}): Promise<World> {
  const dataDir = await mkdtemp(join(tmpdir(), 'tenantbox-docker-'))
  const pool = { name: `t${randomBytes(6).toString('hex')}`, owner: randomUUID(), dataDir }
  const driver = docker(options)
  const report = await driver.open(pool)
  const dirs = new TenantDirs(dataDir)
  await dirs.lockPath()
  onTestFinished(async () => {
    const left = await driver.list()
    for (const { ref } of left) await driver.remove(ref)
    await driver.close()
    await rm(dataDir, { recursive: true, force: true })
    expect(await leftovers(pool.name)).toEqual([])
  })
  const folders = async (tenant: string) => {
    const slug = slugOf(tenant)
    const { uid } = await dirs.ensure(tenant, slug, report.uids)
    const owner = uid === undefined ? undefined : { uid, gid: uid }
    await freshen(dirs.folders(slug), { token: 'a secret' }, owner)
    return { uid }
  }
  const box = async (tenant: string, spec: ResolvedBoxSpec) => {
    const { uid } = await folders(tenant)
    const user = uid === undefined ? undefined : { uid, gid: uid }
    return driver.create(
      { tenant, slug: slugOf(tenant), spec: 'spec-1' },
      { ...spec, user: spec.user ?? user },
    )
  }
  return { driver, report, pool, folders, box }
}

/** A client whose starts answer only once the box has ended: what a slow caller sees of a short life. */
export function clientAfterTheEnd(): Docker {
  const client = new Docker()
  const { modem } = client
  const dial: Docker['modem']['dial'] = modem.dial.bind(modem)
  client.modem.dial = (options, callback) => {
    const id = /^\/containers\/(\w+)\/start/.exec(options.path ?? '')?.[1]
    if (!id) return dial(options, callback)
    dial(options, (error, answer) => {
      void engine
        .getContainer(id)
        .wait()
        .finally(() => callback?.(error, answer))
    })
  }
  return client
}

/** A client to whom the engine tells pids of another machine: none of a box's processes is found by them. */
export function clientFromElsewhere(): Docker {
  const client = new Docker()
  const { modem } = client
  const dial: Docker['modem']['dial'] = modem.dial.bind(modem)
  client.modem.dial = (options, callback) =>
    dial(options, (error, answer) => {
      const told = /^\/exec\/\w+\/json/.test(options.path ?? '') && answer !== null
      callback?.(error, told ? { ...(answer as object), Pid: 1 } : answer)
    })
  return client
}

/** A client whose first start is refused as by an engine that was killed in the middle of an earlier one. */
export function clientWithHalfStarted(): Docker {
  let starts = 0
  return clientRefused((request) => {
    const id = /^POST \/containers\/(\w+)\/start/.exec(request)?.[1]
    return id && ++starts === 1 ? { status: 409, message: `task ${id}: already exists` } : undefined
  })
}

/** A client that, the first time it asks for a command, hears that it has not begun yet. */
export function clientOfLateCommands(): Docker {
  const client = new Docker()
  const dial: Docker['modem']['dial'] = client.modem.dial.bind(client.modem)
  let asked = 0
  client.modem.dial = (options, callback) =>
    dial(options, (error, answer) => {
      const late = /^\/exec\/\w+\/json/.test(options.path) && asked++ === 0
      callback?.(error, late ? { ...(answer as object), Running: false, Pid: 0, ExitCode: null } : answer)
    })
  return client
}

/** What an engine says no with. */
export interface Refusal {
  readonly status: number
  readonly message: string
}

/** A client whose requests, such as `POST /containers/<id>/stop`, are refused as `refuse` says, and else reach the engine. */
export function clientRefused(refuse: (request: string) => Refusal | undefined): Docker {
  const client = new Docker()
  const { modem } = client
  const dial: Docker['modem']['dial'] = modem.dial.bind(modem)
  client.modem.dial = (options, callback) => {
    const refusal = refuse(`${options.method} ${options.path}`)
    if (!refusal) return dial(options, callback)
    const { status, message } = refusal
    callback?.(Object.assign(new Error(message), { statusCode: status, json: { message } }), null)
  }
  return client
}

/** What a promise rejects with. */
export function failure(promise: Promise<unknown>): Promise<unknown> {
  return promise.then(
    () => expect.fail('it should have failed'),
    (error: unknown) => error,
  )
}

/** Everything at the engine that carries this pool's label. */
export async function leftovers(pool: string): Promise<string[]> {
  const filters = { label: [`${LABELS.pool}=${pool}`] }
  const containers = await engine.listContainers({ all: true, filters })
  const networks = await engine.listNetworks({ filters })
  return [...containers.flatMap(({ Names }) => Names), ...networks.map(({ Name }) => Name)]
}

/** A spec with the pool's defaults, and a user left to `World.box`. */
export function specOf(image: string, changes: Partial<ResolvedBoxSpec> = {}): ResolvedBoxSpec {
  return {
    image,
    command: ['/bin/sleep', '1000'],
    env: {},
    limits: { memory: 64 * 1024 ** 2, cpus: 1, pids: 64, disk: undefined },
    network: 'none',
    user: undefined,
    transport: 'socket',
    healthcheck: false,
    stopGraceMs: 10_000,
    mounts: [],
    readOnlyRoot: true,
    tmp: 16 * 1024 ** 2,
    ...changes,
  }
}

/** Runs a shell command in a box to its end. */
export async function shell(driver: Driver, ref: BoxRef, script: string) {
  const child = await driver.spawn(ref, { command: ['/bin/sh', '-c', script] })
  child.stdin.end()
  const [stdout, stderr, code] = await Promise.all([text(child.stdout), text(child.stderr), child.exited])
  return { stdout, stderr, code }
}
