import type { BoxState } from '@tenantbox/core'
import type { TestChat } from '@tenantbox/telegram/testing'
import { Columns } from './columns.js'
import { type Boxes, type LocalCompanion, localCompanion } from './telegram.js'
import { toWake, type Wake } from './wakes.js'

export interface DemoOptions {
  readonly boxes: Boxes
  readonly dataDir: string
  readonly print: (line: string) => void
  readonly signal: AbortSignal
}

interface Person {
  readonly name: string
  readonly chat: TestChat
  readonly side: 'left' | 'right'
}

/** Plays the demo to its end; throws if anything goes otherwise than it should. Returns how the boxes woke. */
export async function demo({ boxes, dataDir, print, signal }: DemoOptions): Promise<readonly Wake[]> {
  const idle = { pauseAfter: '1s', stopAfter: '3s' } as const
  await using companion = await localCompanion({ boxes, dataDir, idle, signal })
  return await new Play(companion, print, signal).run()
}

class Play {
  readonly #companion: LocalCompanion
  readonly #columns: Columns
  readonly #print: (line: string) => void
  readonly #signal: AbortSignal
  readonly #anna: Person
  readonly #ben: Person
  readonly #wakes: Wake[] = []

  constructor(companion: LocalCompanion, print: (line: string) => void, signal: AbortSignal) {
    const { telegram } = companion
    this.#companion = companion
    this.#columns = new Columns(print)
    this.#print = print
    this.#signal = signal
    this.#anna = { name: 'Anna', chat: telegram.chat(1001), side: 'left' }
    this.#ben = { name: 'Ben', chat: telegram.chat(1002), side: 'right' }
    for (const { name, chat } of this.#people) chat.user({ first_name: name })
  }

  get #people(): readonly Person[] {
    return [this.#anna, this.#ben]
  }

  async run(): Promise<readonly Wake[]> {
    this.#watchBoxes()
    const [anna, ben] = [this.#anna, this.#ben]
    this.#print('Two chats with one bot, each with a box of its own.\n')
    this.#columns.heads("Anna's chat", "Ben's chat")
    await this.#ask(anna, 'remember that my cat is called Miso', /I will remember/)
    await this.#ask(ben, 'remember that my dog is called Rex', /I will remember/)
    await this.#askBoth()

    this.#print('\nNobody writes, so both boxes are paused; the next message finds them where they were.\n')
    await this.#bothAsleep('paused', 'stopped')
    await this.#askBoth()

    this.#print('\nA longer silence, and both are stopped. Their notes stay.\n')
    await this.#bothAsleep('stopped')
    await this.#askBoth()

    this.#print('\nA reminder comes although the box that wrote it down is asleep.\n')
    await this.#ask(anna, 'remind me in 8 seconds to stretch', /I will remind you/)
    await this.#asleep(anna, 'stopped')
    const reminder = await anna.chat.answer('⏰ stretch', { timeout: 30_000, signal: this.#signal })
    this.#columns.say('left', `< ${reminder.text}`)
    return this.#wakes
  }

  /** Both must know their own, and nothing of the other's. */
  async #askBoth(): Promise<void> {
    for (const [person, own, other] of [
      [this.#anna, 'Miso', 'Rex'],
      [this.#ben, 'Rex', 'Miso'],
    ] as const) {
      const answer = await this.#ask(person, 'what do you know?', /This is what I know/)
      if (!answer.includes(own)) throw new Error(`${person.name}'s companion does not know of ${own}.`)
      if (answer.includes(other)) throw new Error(`${person.name}'s companion knows of ${other}.`)
    }
  }

  async #ask({ chat, side }: Person, text: string, expected: RegExp): Promise<string> {
    this.#columns.say(side, `> ${text}`)
    chat.user().say(text)
    const answer = await chat.answer(expected, { timeout: 30_000, signal: this.#signal })
    this.#columns.say(side, `< ${answer.text.replaceAll('\n', '\n  ')}`)
    return answer.text
  }

  #watchBoxes(): void {
    const { pool } = this.#companion.app
    const personOf = (tenant: string) => this.#people.find(({ chat }) => String(chat.id) === tenant)
    pool.on('transition', ({ tenant, to, reason }) => {
      const person = personOf(tenant)
      if (person && reason === 'idle' && (to === 'paused' || to === 'stopped'))
        this.#columns.say(person.side, `  (box is ${to})`)
    })
    pool.on('ready', (event) => {
      const person = personOf(event.tenant)
      if (!person) return
      const wake = toWake(person.name, event)
      this.#wakes.push(wake)
      this.#columns.say(person.side, `  (box ${wake.woken} in ${wake.ms.toFixed(0)} ms)`)
    })
  }

  async #bothAsleep(...states: readonly BoxState[]): Promise<void> {
    await Promise.all(this.#people.map((person) => this.#asleep(person, ...states)))
  }

  async #asleep({ chat }: Person, ...states: readonly BoxState[]): Promise<void> {
    const { pool } = this.#companion.app
    const tenant = String(chat.id)
    if (states.includes(pool.get(tenant)?.state ?? 'absent')) return
    await new Promise<void>((resolve, reject) => {
      const stop = pool.on('transition', (event) => {
        if (event.tenant !== tenant || !states.includes(event.to)) return
        stop()
        resolve()
      })
      this.#signal.addEventListener('abort', () => reject(this.#signal.reason), { once: true })
    })
  }
}
