import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { SmallDisk, whyNoSmallDisk } from '../../core/test/faults/small-disk.js'
import { running } from './support/setup.js'

const reason = whyNoSmallDisk()
if (reason !== undefined) console.warn(`Left out: the tests of a gateway on a full disk (${reason}).`)

let disk: SmallDisk

beforeAll(() => {
  if (reason === undefined) disk = new SmallDisk(16 * 1024 ** 2)
})

afterAll(() => disk?.unmount())

describe.skipIf(reason !== undefined)('a gateway on a full disk', () => {
  test('leaves updates at Telegram until they can be stored, and loses none', async () => {
    const { server, asked, warnings } = await running({ disk: disk.path })
    const anna = server.chat(7).user()
    anna.say('before')
    await server.chat(7).answer('before')
    await disk.fill()
    const said = Array.from({ length: 20 }, (_, index) => `message ${index} ${'x'.repeat(3_000)}`)
    for (const each of said) anna.say(each)
    const { cause } = await warnings.first(({ code }) => code === 'NOT_STORED')
    expect(cause).toMatchObject({ code: 'NOT_STORED', details: { errno: 'ENOSPC' } })
    expect(server.pendingUpdates.length).toBeGreaterThan(0)
    await disk.free()
    await server.chat(7).answer(said.at(-1) ?? '', { timeout: 20_000 })
    expect(asked.all.map((message) => message.text)).toEqual(['before', ...said])
    await server.until(({ pendingUpdates }) => pendingUpdates.length === 0)
    expect(warnings.all.map(({ code }) => code)).toEqual(['NOT_STORED'])
  })
})
