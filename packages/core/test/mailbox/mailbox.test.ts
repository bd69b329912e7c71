import { describe, expect, it } from 'vitest'
import { setup } from '../pool/helpers.js'
import { ids, watch } from './helpers.js'

describe('a mailbox', () => {
  it('hands each message to the handler, in order, with its box', async () => {
    const { pool } = await setup()
    const answers: string[] = []
    const { mailbox, seen, next } = watch<{ text: string }>(pool, {
      handle: async (turn) => {
        const box = await turn.box()
        answers.push(await box.send({ id: turn.id, text: turn.body.text, attempt: turn.attempt }).text())
      },
    })
    expect(await mailbox.start()).toEqual({ replayed: 0 })
    const last = next('done', ({ id }) => id === '3')
    const posts = await Promise.all(
      ['1', '2', '3'].map((id) => mailbox.post('a', { id, body: { text: `hello ${id}` } })),
    )
    expect(posts).toEqual(Array(3).fill({ duplicate: false }))
    await last
    expect(answers).toEqual(['hello 1', 'hello 2', 'hello 3'])
    expect(ids(seen, 'done')).toEqual(['1', '2', '3'])
    expect(pool.stats().leased).toBe(0)
    expect(await mailbox.post('a', { id: '2', body: { text: 'again' } })).toEqual({ duplicate: true })
  })

  it('keeps what was posted before the start, and over a restart', async () => {
    const { pool, again } = await setup()
    const first = watch(pool, { handle: async () => {} })
    for (const id of ['1', '2', '3']) await first.mailbox.post('Ä b', { id, body: id })
    await pool.close()
    const second = watch(again(), { handle: async () => {} })
    const last = second.next('done', ({ id }) => id === '3')
    expect(await second.mailbox.start()).toEqual({ replayed: 3 })
    await last
    expect(ids(second.seen, 'done')).toEqual(['1', '2', '3'])
  })
})
