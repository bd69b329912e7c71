import { expect, test } from 'vitest'
import { running } from './support/setup.js'

test('a message is answered, in its chat', async () => {
  const { server, asked } = await running()
  const anna = server.chat(7).user({ first_name: 'Anna' })
  anna.say('hello')
  await server.chat(7).answer('hello')
  expect(asked.all).toMatchObject([
    { tenant: '7', text: 'hello', cause: 'user', attempt: 1, from: { id: '7', name: 'Anna' } },
  ])
  await server.until(() => server.pendingUpdates.length === 0)
})
