import type { Readable } from 'node:stream'
import { onTestFinished } from 'vitest'
import { LABELS } from '../../src/identity.js'
import { engine } from '../engine/world.js'

/** What the engine itself says of the lives of a pool's boxes, whichever gateway began them. */
export interface Lives {
  /** Names of the boxes that live now, as far as the engine has told. */
  now(): string[]
  /** The most boxes that any one tenant ever had live at one time. */
  most(): number
}

export async function watchLives(pool: string): Promise<Lives> {
  const filters = { type: ['container'], event: ['start', 'die'], label: [`${LABELS.pool}=${pool}`] }
  const stream = (await engine.getEvents({ filters: JSON.stringify(filters) })) as Readable
  onTestFinished(() => void stream.destroy())
  const live = new Map<string, { name: string; tenant: string }>()
  let most = 0
  let rest = ''
  stream.setEncoding('utf8').on('data', (text: string) => {
    const lines = (rest + text).split('\n')
    rest = lines.pop() ?? ''
    for (const line of lines.filter((each) => each.trim() !== '')) {
      const { Action, Actor } = JSON.parse(line)
      if (Action === 'die') live.delete(Actor.ID)
      else live.set(Actor.ID, { name: Actor.Attributes.name, tenant: Actor.Attributes[LABELS.tenant] })
      const tenants = [...live.values()].map(({ tenant }) => tenant)
      for (const tenant of tenants) most = Math.max(most, tenants.filter((each) => each === tenant).length)
    }
  })
  return { now: () => [...live.values()].map(({ name }) => `/${name}`).sort(), most: () => most }
}
