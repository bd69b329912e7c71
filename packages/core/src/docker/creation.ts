import { randomUUID } from 'node:crypto'
import { open, readFile, rename, unlink } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import type Docker from 'dockerode'
import type { BoxIdentity, BoxRecord, BoxRef, DriverCall, ResolvedBoxSpec } from '../driver.js'
import { errnoOf } from '../errno.js'
import { TenantBoxError } from '../errors.js'
import { boxName } from '../identity.js'
import { withAccount } from './accounts.js'
import { type BoxPlan, type BoxUser, createBody, mountInTenantsFolder } from './box-config.js'
import { readContainerFile } from './container-files.js'
import { boxFailed, type Containers } from './containers.js'
import { type EngineRefusal, refusalOf } from './engine-failure.js'
import type { ImageAccounts } from './image-accounts.js'
import type { Images } from './images.js'
import { type Lifecycle, RESERVED_ATTEMPTS, RESERVED_PAUSE_MS, whyNotStarted } from './lifecycle.js'
import type { Networks } from './networks.js'
import type { ResolvedDockerOptions } from './options.js'
import { type Probed, withoutEngineGroup } from './probes.js'
import { isBeingRemoved, toRecord } from './records.js'

interface CreationHost {
  readonly containers: Containers
  readonly images: Images
  readonly accounts: ImageAccounts
  readonly networks: Networks
  readonly lifecycle: Lifecycle
  readonly options: ResolvedDockerOptions
  readonly probed: Probed
}

/** Makes boxes, and finds the one that has a tenant's name. */
export class Creation {
  readonly #host: CreationHost
  /** Whether the engine is known to mount this process's files. */
  #sameFiles = false

  constructor(host: CreationHost) {
    this.#host = host
  }

  async create(identity: BoxIdentity, spec: ResolvedBoxSpec, options: DriverCall): Promise<BoxRef> {
    const { containers, images, networks, probed, options: settings } = this.#host
    const user = withoutEngineGroup(spec.user ?? probed.defaultUser, probed.socketGid)
    const plan: BoxPlan = {
      pool: containers.pool,
      identity,
      spec,
      options: settings,
      enforcement: probed.enforcement,
      user,
      network: await networks.prepare(spec, options),
      volumes: await images.volumesOf(spec.image, options),
      accounts: user !== undefined && (await this.#writeAccounts(identity, spec.image, user, options)),
    }
    const inside = mountInTenantsFolder(plan)
    if (inside !== undefined)
      throw boxFailed(
        identity,
        `cannot be made: nothing is mounted at ${JSON.stringify(inside)}, in a folder that the tenant could fill with symlinks. Take that VOLUME out of the image, or move that one of box.mounts.`,
        { phase: 'create' },
      )
    const name = boxName(containers.pool.name, identity.slug)
    for (let attempt = 0; attempt < RESERVED_ATTEMPTS; attempt++) {
      const made = await this.#make(name, plan, options)
      if (made !== undefined) return this.#checkFolders(refTo(made, identity), plan, options)
      // The name is taken: by a removal under way, an earlier try of ours that went through, or a stranger.
      const taken = await this.find(identity.slug, options)
      if (taken?.spec === identity.spec) return taken.ref
      if (taken) break
      // Or by a box that is just being made: the engine reserves the name before it shows the box.
      await setTimeout(RESERVED_PAUSE_MS, undefined, { signal: options.signal })
    }
    throw boxFailed(identity, 'is there already, made from another spec. Remove it first.', {
      phase: 'create',
    })
  }

  async find(slug: string, options: DriverCall): Promise<BoxRecord | undefined> {
    const { containers, lifecycle } = this.#host
    const name = boxName(containers.pool.name, slug)
    const container = await containers.inspect(name, options)
    if (!container) return undefined
    const record = toRecord(containers.pool, container)
    if (!record || record.ref.slug !== slug || record.aside)
      throw new TenantBoxError(
        'FOREIGN_BOX',
        `The container ${name} was not made by this pool. Remove or rename it at the engine, or rename the pool.`,
        { box: name },
      )
    if (!isBeingRemoved(container.State)) return record
    await lifecycle.remove(record.ref, options)
    return undefined
  }

  /** The id of the new box; undefined when its name is taken. */
  async #make(name: string, plan: BoxPlan, { signal }: DriverCall): Promise<string | undefined> {
    const { platform } = plan.options
    try {
      const made = await this.#host.containers.engine.call(
        'make a box',
        (client, abortSignal) =>
          client.createContainer({
            // Without these, dockerode would send all of it in the URL as well.
            _query: { name, ...(platform === undefined ? {} : { platform }) },
            _body: createBody(plan),
            abortSignal,
          } as Docker.ContainerCreateOptions),
        { signal },
      )
      return made.id
    } catch (error) {
      const refusal = refusalOf(error)
      if (!refusal) throw error
      if (refusal.status === 409) return undefined
      throw notMade(plan.identity, refusal)
    }
  }

  /** Once: whether boxes get the folders that the pool fills. */
  async #checkFolders(ref: BoxRef, plan: BoxPlan, options: DriverCall): Promise<BoxRef> {
    const { containers, lifecycle } = this.#host
    if (this.#sameFiles || !plan.accounts) return ref
    const here = join(containers.pool.dataDir, ref.slug, 'passwd')
    let refusal: EngineRefusal | undefined
    try {
      const inBox = await readContainerFile(containers.engine, ref.id, '/etc/passwd', options)
      this.#sameFiles = inBox === (await readFile(here, 'utf8'))
    } catch (error) {
      refusal = refusalOf(error)
      if (!refusal) throw error
    }
    if (this.#sameFiles) return ref
    await lifecycle.remove(ref, options)
    // To read it, the engine mounts all that the box has mounted.
    if (refusal) throw notMade(ref, refusal)
    throw boxFailed(
      ref,
      `would get other folders than this process fills under ${containers.pool.dataDir}. Set docker({ hostDataDir }) to that folder's path on the engine's machine.`,
      { phase: 'create' },
    )
  }

  /** Puts the image's accounts and the box's own where `mounts` finds them; false when the image allows no more. */
  async #writeAccounts(
    identity: BoxIdentity,
    image: string,
    user: BoxUser,
    options: DriverCall,
  ): Promise<boolean> {
    const { images, accounts, containers } = this.#host
    const id = await images.find(image, options)
    const ofImage = id === undefined ? undefined : await accounts.of(id)
    if (!ofImage) return false
    const folder = join(containers.pool.dataDir, identity.slug)
    const { passwd, group } = withAccount(ofImage, user)
    try {
      await replaceFile(join(folder, 'passwd'), passwd)
      await replaceFile(join(folder, 'group'), group)
    } catch (error) {
      if (errnoOf(error) !== 'ENOENT') throw error
      throw boxFailed(
        identity,
        `cannot be made: its folder ${folder} is missing.`,
        { phase: 'create' },
        error,
      )
    }
    return true
  }
}

function notMade(
  identity: Pick<BoxIdentity, 'tenant'>,
  refusal: EngineRefusal,
): TenantBoxError<'START_FAILED'> {
  return boxFailed(
    identity,
    `cannot be made: ${whyNotStarted(refusal.message, undefined)}`,
    { phase: 'create' },
    refusal,
  )
}

function refTo(id: string, { tenant, slug }: BoxIdentity): BoxRef {
  return { id, tenant, slug }
}

/** Whole or not at all, and readable for the box's user: a running box may have the old one mounted. */
async function replaceFile(path: string, text: string): Promise<void> {
  const fresh = `${path}.${randomUUID()}`
  const file = await open(fresh, 'wx', 0o644)
  try {
    try {
      await file.chmod(0o644)
      await file.writeFile(text)
    } finally {
      await file.close()
    }
    await rename(fresh, path)
  } catch (error) {
    await unlink(fresh)
    throw error
  }
}
