import type Docker from 'dockerode'
import type { DriverCall, PoolIdentity } from '../driver.js'
import type { Accounts } from './accounts.js'
import { readContainerFile } from './container-files.js'
import type { Engine } from './engine.js'
import { refusalOf } from './engine-failure.js'
import { ownerFilter, poolLabels } from './ownership.js'

/** Marks a container that is made to look into an image, never started, and removed at once. */
const PURPOSE = 'dev.tenantbox.purpose'
const READ_ACCOUNTS = 'read-accounts'

/**
 * The accounts that images bring along. The engine shows an image's files only through a container, so one is made
 * for each new image; its answer is kept by the image's id, which never means anything else.
 */
export class ImageAccounts {
  readonly #engine: Engine
  readonly #pool: PoolIdentity
  readonly #known = new Map<string, Promise<Accounts | undefined>>()

  constructor(engine: Engine, pool: PoolIdentity) {
    this.#engine = engine
    this.#pool = pool
  }

  /** Undefined when the image's files are no plain text files that could be added to. */
  async of(imageId: string): Promise<Accounts | undefined> {
    const known = this.#known.get(imageId)
    if (known) return known
    const reading = this.#read(imageId)
    this.#known.set(imageId, reading)
    reading.catch(() => this.#known.delete(imageId))
    return reading
  }

  /** Removes what a crash in the middle of reading left. */
  async removeLeftovers(options: DriverCall): Promise<void> {
    const filters = { label: [...ownerFilter(this.#pool), `${PURPOSE}=${READ_ACCOUNTS}`] }
    const left = await this.#engine.call(
      'list containers',
      (client, abortSignal) => client.listContainers({ all: true, filters, abortSignal }),
      options,
    )
    // An image can carry our labels, but what was never started and has no box's name is ours to tidy.
    for (const { Id, State } of left) if (State === 'created') await this.#remove(Id)
  }

  async #read(imageId: string): Promise<Accounts | undefined> {
    const { id } = await this.#engine.call('make a container to look into an image', (client, abortSignal) =>
      client.createContainer({
        Image: imageId,
        Cmd: ['-'],
        Labels: { ...poolLabels(this.#pool), [PURPOSE]: READ_ACCOUNTS },
        HostConfig: { NetworkMode: 'none', ReadonlyRootfs: true },
        abortSignal,
      } as Docker.ContainerCreateOptions),
    )
    try {
      const passwd = await readContainerFile(this.#engine, id, '/etc/passwd')
      const group = await readContainerFile(this.#engine, id, '/etc/group')
      return passwd === undefined || group === undefined ? undefined : { passwd, group }
    } finally {
      await this.#remove(id)
    }
  }

  async #remove(id: string): Promise<void> {
    try {
      await this.#engine.call('remove a container', (client, abortSignal) =>
        client.getContainer(id).remove({ force: true, v: true, abortSignal }),
      )
    } catch (error) {
      // Gone, or going: also as wanted. Anything else is tidied at the next start of the pool.
      if (!refusalOf(error)) throw error
    }
  }
}
