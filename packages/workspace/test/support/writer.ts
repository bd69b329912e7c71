import { appendFileSync } from 'node:fs'
import { join } from 'node:path'
import { isWorkspaceError, Workspace } from '../../src/index.js'

/*
 * Writes in all ways at once, for ever, until it is killed. What has been confirmed to it is noted in `log`, outside the
 * workspace; each content is such that a torn or mixed one can be told.
 */
const [folder = '', log = '', seed = '0', mode = 'plain'] = process.argv.slice(2)
const archives = mode === 'archive'
const workspace = await Workspace.open(folder)

/** All of it is the same letter, and its length is a multiple of 1000. */
const whole = (round: number) => String.fromCharCode(97 + (round % 26)).repeat(1000 * (1 + (round % 60)))

async function forever(write: (round: number) => Promise<unknown>): Promise<never> {
  for (let round = 1; ; round++) await write(round)
}

/** Left out when it is archiving that is to be killed, so that most of the time is spent in that. */
const besides = (write: (round: number) => Promise<unknown>) => (archives ? [] : [forever(write)])

const entry = (id: string) => ({
  id,
  role: 'user' as const,
  content: whole(id.length).slice(0, 100 + ((id.length * 37) % 3000)),
})

/** Says that it is under way: from then on it may be killed at any moment. */
const ready = () => process.stdout.write('ready\n')

await Promise.all([
  ...besides((round) => workspace.memory.write(whole(round))),
  ...besides((round) => workspace.files.write('notes/file.txt', whole(round))),
  ...besides(async (round) => {
    const sink = await workspace.files.createWriteStream('notes/stream.txt')
    for (const piece of whole(round).match(/.{1,7000}/g) ?? []) sink.write(piece)
    await new Promise((resolve, reject) => sink.on('error', reject).end(() => resolve(undefined)))
  }),
  ...besides(async (round) => {
    await workspace.schedules.add({ id: `s-${seed}-${round}`, text: whole(round).slice(0, 200), every: '1h' })
    if (round > 5) await workspace.schedules.remove(`s-${seed}-${round - 5}`)
  }),
  forever(async (round) => {
    const id = `${seed}-${round}`
    await workspace.session.append(entry(id))
    appendFileSync(join(log, 'appended'), `${id}\n`)
    if (!archives) ready()
  }),
  forever(async () => {
    if (!archives) return new Promise(() => {})
    const tail = await workspace.session.tail(4)
    const [before] = tail
    if (tail.length < 4 || !before) return
    try {
      if ((await workspace.session.archive(before.id)).entries > 0) ready()
    } catch (error) {
      // Another process has archived it.
      if (!isWorkspaceError(error, 'NOT_FOUND')) throw error
    }
  }),
])
