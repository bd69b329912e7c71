import type Docker from 'dockerode'
import type { BoxExit, BoxRecord, PoolIdentity } from '../driver.js'
import { LABELS } from '../identity.js'
import { ownedBox } from './ownership.js'

export type ContainerState = Docker.ContainerInspectInfo['State']

/** The record of a container; undefined when it is not this pool's. */
export function toRecord(pool: PoolIdentity, container: Docker.ContainerInspectInfo): BoxRecord | undefined {
  const labels = container.Config.Labels ?? {}
  const owned = ownedBox(pool, container.Id, container.Name, labels)
  if (!owned) return undefined
  return {
    ...owned,
    state: boxState(container.State),
    startedAt: toMillis(container.State.StartedAt),
    spec: labels[LABELS.spec] ?? '',
    exit: exitOf(container.State),
  }
}

/** Whether a listing tells enough: of a stopped box it leaves out only its last life. */
export function isStopped(listed: Docker.ContainerInfo): boolean {
  return listed.State === 'exited' || listed.State === 'created'
}

/** The record of a container as the engine lists it, which tells of no life; undefined when it is not this pool's. */
export function listedRecord(pool: PoolIdentity, listed: Docker.ContainerInfo): BoxRecord | undefined {
  // A container's own name has one slash; others are what links call it.
  const name = listed.Names.find((each) => each.lastIndexOf('/') === 0)
  const owned = name === undefined ? undefined : ownedBox(pool, listed.Id, name, listed.Labels)
  return (
    owned && {
      ...owned,
      state: listed.State === 'running' || listed.State === 'paused' ? listed.State : 'stopped',
      startedAt: 0,
      spec: listed.Labels[LABELS.spec] ?? '',
      exit: undefined,
    }
  )
}

export function boxState(state: ContainerState): BoxRecord['state'] {
  return state.Paused ? 'paused' : state.Running ? 'running' : 'stopped'
}

/** Condemned: a removal is under way, or got stuck. Such a container never runs again. */
export function isBeingRemoved(state: ContainerState): boolean {
  return state.Dead || state.Status === 'removing'
}

/** How the last life ended; undefined while it lasts, and before the first. */
export function exitOf(state: ContainerState): BoxExit | undefined {
  if (state.Running || toMillis(state.StartedAt) === 0) return undefined
  return { code: state.ExitCode, oom: state.OOMKilled }
}

/** The engine's RFC 3339 time in milliseconds since the epoch; its zero time is 0. */
export function toMillis(time: string): number {
  return Math.max(0, Date.parse(time) || 0)
}
