import { createHash } from 'node:crypto'
import type Docker from 'dockerode'
import type { DriverCall, PoolIdentity, ResolvedBoxSpec } from '../driver.js'
import { TenantBoxError } from '../errors.js'
import { invalidOption } from '../units.js'
import type { Engine } from './engine.js'
import { refusalOf } from './engine-failure.js'
import { hasPoolLabels, ownerFilter, poolLabels } from './ownership.js'
import { startFailed } from './start-failed.js'

const LONGEST_INTERFACE_NAME = 15
/** Modes of the engine that are no networks: they would hand a box the host's network or another container's. */
const NO_NETWORK = /^(host|none|default|(container|ns):.*)$/

/**
 * The networks that boxes join. `internet` is a bridge of the pool's, `tbx-<pool>`, on which boxes cannot reach each
 * other. A box with a port and no network joins `tbx-<pool>-port`: the same, and nothing it sends leaves the machine
 * with an address that could be answered.
 */
export class Networks {
  readonly #engine: Engine
  readonly #pool: PoolIdentity
  readonly #making = new Map<string, Promise<void>>()

  constructor(engine: Engine, pool: PoolIdentity) {
    this.#engine = engine
    this.#pool = pool
  }

  /** The name of the network for this spec, which is there now; undefined for none. */
  async prepare(
    { network, transport }: ResolvedBoxSpec,
    { signal }: DriverCall,
  ): Promise<string | undefined> {
    signal?.throwIfAborted()
    if (typeof network === 'object') {
      await this.#assertExists(network.name, signal)
      return network.name
    }
    if (network === 'none' && transport === 'socket') return undefined
    const outward = network === 'internet'
    const name = `tbx-${this.#pool.name}${outward ? '' : '-port'}`
    // One at a time: the engine would make two networks of one name.
    const making = this.#making.get(name) ?? this.#ensure(name, outward)
    this.#making.set(name, making)
    try {
      await making
    } finally {
      if (this.#making.get(name) === making) this.#making.delete(name)
    }
    signal?.throwIfAborted()
    return name
  }

  /** Removes the pool's networks, unless there is a box: even one that is stopped needs its network to start. */
  async removeUnused(options: DriverCall): Promise<void> {
    const filters = { label: ownerFilter(this.#pool) }
    const ours = await this.#engine.call(
      'list networks',
      (client, abortSignal) => client.listNetworks({ filters, abortSignal }),
      options,
    )
    if (ours.length === 0) return
    const boxes = await this.#engine.call(
      'list containers',
      (client, abortSignal) => client.listContainers({ all: true, filters, abortSignal }),
      options,
    )
    if (boxes.length > 0) return
    for (const { Id } of ours)
      await this.#engine.call(
        'remove a network',
        (client, abortSignal) => client.getNetwork(Id).remove({ abortSignal }),
        options,
      )
  }

  async #assertExists(name: string, signal: AbortSignal | undefined): Promise<void> {
    if (NO_NETWORK.test(name) || !/^[\w][\w.-]*$/.test(name))
      throw invalidOption('box.network.name', "the name of a network of the engine's", name)
    if (await this.#inspect(name, signal)) return
    throw networkFailed(name, 'the engine has no network of this name', 'Make it, or choose another')
  }

  async #ensure(name: string, outward: boolean): Promise<void> {
    if (await this.#isOurs(name)) return
    try {
      await this.#engine.call(`make network ${name}`, (client, abortSignal) =>
        client.createNetwork({
          Name: name,
          Driver: 'bridge',
          CheckDuplicate: true,
          Labels: { ...poolLabels(this.#pool) },
          Options: {
            'com.docker.network.bridge.name': interfaceName(this.#pool, name),
            'com.docker.network.bridge.enable_icc': 'false',
            'com.docker.network.bridge.enable_ip_masquerade': String(outward),
          },
          abortSignal,
        }),
      )
    } catch (error) {
      const refusal = refusalOf(error)
      if (!refusal) throw error
      if (refusal.status === 409 && (await this.#isOurs(name))) return
      throw networkFailed(
        name,
        refusal.message,
        "Let the engine manage bridges and iptables, use network: 'none' with a socket, or { name } of a network of your own",
      )
    }
  }

  /** False when there is no such network. @throws TenantBoxError `FOREIGN_BOX` when somebody else made it */
  async #isOurs(name: string): Promise<boolean> {
    const found = await this.#inspect(name, undefined)
    if (!found) return false
    if (found.Name === name && hasPoolLabels(this.#pool, found.Labels ?? {})) return true
    throw new TenantBoxError(
      'FOREIGN_BOX',
      `The network ${name} was not made by this pool. Remove it at the engine, or rename the pool.`,
      { box: name },
    )
  }

  async #inspect(
    name: string,
    signal: AbortSignal | undefined,
  ): Promise<Docker.NetworkInspectInfo | undefined> {
    try {
      return await this.#engine.call(
        `look up network ${name}`,
        (client) => client.getNetwork(name).inspect(),
        { signal },
      )
    } catch (error) {
      if (refusalOf(error)?.status === 404) return undefined
      throw error
    }
  }
}

/** Its own, among all pools of the machine; and every one begins alike, so that a firewall can tell them. */
function interfaceName({ owner }: PoolIdentity, network: string): string {
  const hash = createHash('sha256').update(`${owner} ${network}`).digest('hex')
  return `tbx${hash}`.slice(0, LONGEST_INTERFACE_NAME)
}

function networkFailed(name: string, why: string, advice: string): TenantBoxError<'START_FAILED'> {
  return startFailed('create', `Network ${name} cannot be used: ${why}. ${advice}.`)
}
