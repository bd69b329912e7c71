import type { MemoryBox } from '../../../src/testing/index.js'
import type { KeptPromise } from './promise.js'

/** What changes a box. */
const HANDS_ON: readonly string[] = [
  'start',
  'pause',
  'resume',
  'stop',
  'remove',
  'setAside',
  'restore',
  'spawn',
  'dial',
]

export const strangers: KeptPromise = {
  title: '5 what the pool did not make is never touched',

  watch({ watchers, strangers: planted }, broken) {
    watchers.called.push(({ operation, box: id }) => {
      const stranger = planted.find((box: MemoryBox) => box.id === id)
      if (stranger && HANDS_ON.includes(operation)) broken(`${operation} of the stranger's ${stranger.name}`)
    })
  },
}
