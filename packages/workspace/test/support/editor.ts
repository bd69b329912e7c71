import { Workspace } from '../../src/index.js'

/** Changes the same two files as others do, `count` times each, and ends. */
const [folder = '', name = '', count = '0'] = process.argv.slice(2)
const { memory, schedules } = await Workspace.open(folder)
const rounds = Array.from({ length: Number(count) }, (_, round) => `${name}-${round}`)

await Promise.all([
  (async () => {
    for (const id of rounds) await memory.edit((text) => `${text}${id}\n`)
  })(),
  (async () => {
    for (const id of rounds) await schedules.add({ id, text: id, every: '1h' })
  })(),
])
