import { randomUUID } from 'node:crypto'
import { type BoxSpec, type Driver, TenantPool } from '@tenantbox/core'
import { asleep } from './asleep.js'
import { Conversation } from './conversation.js'
import { askModel } from './model.js'
import type { Wake } from './table.js'

export interface DemoOptions {
  driver: Driver
  box: BoxSpec
  dataDir: string
  print: (line: string) => void
  signal: AbortSignal
}

const A = { tenant: '12345678-a', pet: 'Miso' }
const B = { tenant: '12345678-b', pet: 'Rex' }

/** Plays the demo to its end; throws if anything goes otherwise than TenantBox promises. Returns how the boxes woke. */
export async function demo({ driver, box, dataDir, print, signal }: DemoOptions): Promise<readonly Wake[]> {
  await using pool = new TenantPool({
    // Part of the boxes' names: two demos may run on one engine.
    name: `demo${randomUUID().slice(0, 8)}`,
    driver,
    dataDir,
    box,
    idle: { pauseAfter: '1s', stopAfter: '3s' },
    onClose: 'remove',
  })
  pool.on('transition', ({ tenant, from, to, reason }) => print(`${tenant}     ${from} -> ${to} (${reason})`))
  pool.serve('/model', (request, { tenant }) => {
    print(`${tenant}     asks the gateway, which has the key, for the model`)
    return askModel(request)
  })
  const conversation = new Conversation(pool, print, signal)
  /** Both must know their own pet, and neither the other's. */
  const askBoth = async (question: string) => {
    for (const [own, other] of [
      [A, B],
      [B, A],
    ] as const) {
      const answer = await conversation.say(own.tenant, question)
      if (!answer.includes(own.pet)) throw new Error(`${own.tenant} does not know of ${own.pet}: "${answer}"`)
      if (answer.includes(other.pet)) throw new Error(`${own.tenant} knows of ${other.pet}: "${answer}"`)
    }
  }

  const bothAsleep = (state: 'paused' | 'stopped') =>
    Promise.all([A, B].map(({ tenant }) => asleep(pool, tenant, state, signal)))

  print('Two tenants, whose ids begin alike, each get a box.\n')
  await conversation.say(A.tenant, `remember my cat is called ${A.pet}`)
  await conversation.say(B.tenant, `remember my dog is called ${B.pet}`)
  await askBoth('what do you know?')

  print('\nNobody writes, so both boxes are paused.\n')
  await bothAsleep('paused')
  await askBoth('what do you know?')

  print('\nA longer silence, and both are stopped.\n')
  await bothAsleep('stopped')
  await askBoth('what do you know?')

  print('\nA box has no key and no network. It asks the gateway.\n')
  await askBoth('what should I do today?')

  return conversation.wakes
}
