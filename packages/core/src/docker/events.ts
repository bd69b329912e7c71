import type { DriverCall, DriverEvent, PoolIdentity } from '../driver.js'
import type { Engine } from './engine.js'
import type { Images } from './images.js'
import { jsonLines } from './json-lines.js'
import { ownedBox, ownerFilter } from './ownership.js'

/** How far back a subscription begins: the engine answers a moment before it listens, and its clock may drift. */
const OVERLAP_MS = 1_000

const TYPES = {
  start: 'started',
  die: 'died',
  oom: 'oom',
  pause: 'paused',
  unpause: 'resumed',
  rename: 'renamed',
  destroy: 'removed',
} as const satisfies Record<string, DriverEvent['type']>

const IMAGE_ACTIONS = ['pull', 'tag', 'untag', 'delete', 'import', 'load']

/** An entry of the engine's event stream. */
interface EngineEvent {
  readonly Action: string
  readonly Actor: { readonly ID: string; readonly Attributes: Readonly<Record<string, string>> }
  readonly time: number
  readonly timeNano?: number
}

/**
 * Subscribes to what happens to the pool's boxes. Resolves once nothing later can be missed; what happened up to a
 * second before may come again. The iteration throws when the stream breaks.
 */
export async function watchBoxes(
  engine: Engine,
  pool: PoolIdentity,
  clockSkew: number,
  { signal }: { signal: AbortSignal },
): Promise<AsyncIterable<DriverEvent>> {
  const filters = { type: ['container'], event: Object.keys(TYPES), label: ownerFilter(pool) }
  const events = await subscribe(engine, filters, Date.now() + clockSkew - OVERLAP_MS, { signal })
  return boxEvents(events, pool)
}

/** Keeps `images` told of every change until the signal; a broken stream only makes it ask the engine again. */
export async function watchImages(
  engine: Engine,
  images: Images,
  { signal }: { signal: AbortSignal },
): Promise<void> {
  const events = await subscribe(engine, { type: ['image'], event: IMAGE_ACTIONS }, undefined, { signal })
  void tell(events, images)
}

async function tell(events: AsyncIterable<EngineEvent>, images: Images): Promise<void> {
  const unwatched = images.watched()
  try {
    for await (const _ of events) images.changed()
  } catch {
    // The stream of boxes tells the pool that the engine is away; here nothing is lost but a short cut.
  } finally {
    unwatched()
  }
}

async function subscribe(
  engine: Engine,
  filters: Record<string, string[]>,
  since: number | undefined,
  { signal }: DriverCall,
): Promise<AsyncIterable<EngineEvent>> {
  const query = {
    filters: JSON.stringify(filters),
    ...(since === undefined ? {} : { since: since / 1000 }),
  }
  const operation = 'send events'
  const stream = await engine.call(
    operation,
    (client, abortSignal) => client.getEvents({ ...query, abortSignal }),
    { signal },
  )
  return engine.follow(operation, jsonLines(stream) as AsyncIterable<EngineEvent>, stream, { signal })
}

async function* boxEvents(
  events: AsyncIterable<EngineEvent>,
  pool: PoolIdentity,
): AsyncGenerator<DriverEvent> {
  for await (const event of events) {
    const translated = toDriverEvent(event, pool)
    if (translated) yield translated
  }
  throw new Error('The engine ended its stream of events.')
}

/** Undefined for an event of no interest, or of a container that is not this pool's. */
function toDriverEvent(
  { Action, Actor, time, timeNano }: EngineEvent,
  pool: PoolIdentity,
): DriverEvent | undefined {
  const type = Object.hasOwn(TYPES, Action) ? TYPES[Action as keyof typeof TYPES] : undefined
  if (!type) return undefined
  const { name = '', oldName, ...labels } = Actor.Attributes
  const owned =
    ownedBox(pool, Actor.ID, name, labels) ??
    // Renamed away: no longer ours, which is what the pool must hear.
    (oldName === undefined ? undefined : ownedBox(pool, Actor.ID, oldName, labels))
  return (
    owned && { type, ref: owned.ref, at: timeNano === undefined ? time * 1000 : Math.floor(timeNano / 1e6) }
  )
}
