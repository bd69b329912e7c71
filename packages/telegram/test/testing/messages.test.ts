import { InlineKeyboard } from 'grammy'
import { describe, expect, test } from 'vitest'
import { botOf, refusal, refusedText, startServer } from './support/server.js'

const setUp = async () => {
  const server = await startServer()
  return { server, chat: server.chat(7), api: botOf(server).api }
}

describe('sending', () => {
  test('a text is there, with its entities and those that Telegram finds', async () => {
    const { api, chat } = await setUp()
    const sent = await api.sendMessage(7, 'see *this*: /help https://example.com', { parse_mode: 'Markdown' })
    expect(sent).toMatchObject({ message_id: 1, chat: { id: 7, type: 'private' }, from: { is_bot: true } })
    expect(chat.messages[0]?.text).toBe('see this: /help https://example.com')
    expect(sent.entities).toEqual([
      { type: 'bold', offset: 4, length: 4 },
      { type: 'bot_command', offset: 10, length: 5 },
      { type: 'url', offset: 16, length: 19 },
    ])
  })

  test('white space around a text goes, and entities move with it', async () => {
    const { api } = await setUp()
    const sent = await api.sendMessage(7, '\n  a b\r\n', {
      entities: [{ type: 'bold', offset: 3, length: 5 }],
    })
    expect(sent).toMatchObject({ text: 'a b', entities: [{ type: 'bold', offset: 0, length: 3 }] })
  })

  test('4096 UTF-16 units are the most, counted after the markup is parsed', async () => {
    const { api } = await setUp()
    await api.sendMessage(7, `<b>${'a'.repeat(4096)}</b>`, { parse_mode: 'HTML' })
    await api.sendMessage(7, '👍'.repeat(2048))
    expect(await refusedText(api, 'a'.repeat(4097))).toBe('Bad Request: message is too long')
    expect(await refusedText(api, '👍'.repeat(2049))).toBe('Bad Request: message is too long')
  })

  test('an empty text is refused', async () => {
    const { api } = await setUp()
    expect(await refusedText(api, '')).toBe('Bad Request: message text is empty')
    expect(await refusedText(api, ' \n ')).toBe('Bad Request: text must be non-empty')
    expect(await refusedText(api, '<b></b>', { parse_mode: 'HTML' })).toBe(
      'Bad Request: text must be non-empty',
    )
  })

  test('markup that is wrong is refused, with the place in bytes', async () => {
    const { api, chat } = await setUp()
    expect(await refusedText(api, 'ä.', { parse_mode: 'MarkdownV2' })).toBe(
      "Bad Request: can't parse entities: Character '.' is reserved and must be escaped with the preceding '\\'",
    )
    expect(await refusedText(api, 'ä *b', { parse_mode: 'Markdown' })).toBe(
      "Bad Request: can't parse entities: Can't find end of the entity starting at byte offset 3",
    )
    expect(await refusedText(api, 'ä<p>', { parse_mode: 'HTML' })).toBe(
      `Bad Request: can't parse entities: Unsupported start tag "p" at byte offset 2`,
    )
    expect(chat.messages).toEqual([])
  })

  test.each([
    [
      { offset: 2, length: 3 },
      'entity beginning at UTF-16 offset 2 ends after the end of the text at UTF-16 offset 5',
    ],
    [{ offset: 4, length: 1 }, 'entity begins after the end of the text at UTF-16 offset 4'],
    [{ offset: 1, length: 1 }, 'entity begins in a middle of a UTF-16 symbol at UTF-16 offset 1'],
    [
      { offset: 0, length: 1 },
      'entity beginning at UTF-16 offset 0 ends in a middle of a UTF-16 symbol at UTF-16 offset 1',
    ],
    [{ offset: -1, length: 1 }, 'receive an entity with incorrect offset -1'],
  ])('the entity %o must fit the text', async (place, why) => {
    const { api } = await setUp()
    expect(await refusedText(api, '👍ab', { entities: [{ type: 'bold', ...place }] })).toBe(
      `Bad Request: ${why}`,
    )
  })

  test('half a character is refused', async () => {
    const { api } = await setUp()
    expect(await refusedText(api, 'a\ud83d')).toBe('Bad Request: strings must be encoded in UTF-8')
  })

  test('a reply names the message, which must be there', async () => {
    const { api, chat } = await setUp()
    const { message } = chat.user().say('question')
    const sent = await api.sendMessage(7, 'answer', { reply_parameters: { message_id: message.id } })
    expect(sent.reply_to_message?.text).toBe('question')
    expect(await refusedText(api, 'x', { reply_parameters: { message_id: 99 } })).toBe(
      'Bad Request: message to be replied not found',
    )
    await api.sendMessage(7, 'x', { reply_parameters: { message_id: 99, allow_sending_without_reply: true } })
  })

  test('data of buttons has at most 64 bytes', async () => {
    const { api, chat } = await setUp()
    await api.sendMessage(7, 'x', { reply_markup: new InlineKeyboard().text('ok', 'ä'.repeat(32)) })
    expect(chat.messages[0]?.buttons[0]?.[0]?.text).toBe('ok')
    const reply_markup = new InlineKeyboard().text('ok', 'ä'.repeat(33))
    expect(await refusedText(api, 'x', { reply_markup })).toBe('Bad Request: BUTTON_DATA_INVALID')
  })
})

describe('editing', () => {
  test('changes the message, and its earlier versions are kept', async () => {
    const { api, chat } = await setUp()
    const { message_id: id } = await api.sendMessage(7, 'one')
    await api.editMessageText(7, id, 'two')
    const edited = await api.editMessageText(7, id, '*three*', { parse_mode: 'MarkdownV2' })
    expect(edited).toMatchObject({ text: 'three', entities: [{ type: 'bold', offset: 0, length: 5 }] })
    expect(chat.messages).toHaveLength(1)
    expect(chat.messages[0]?.text).toBe('three')
    expect(chat.messages[0]?.history.map(({ text }) => text)).toEqual(['one', 'two'])
  })

  test('to the same is refused, until something differs: the text, an entity or a button', async () => {
    const { api } = await setUp()
    const { message_id: id } = await api.sendMessage(7, 'one')
    const again = await refusal(api.editMessageText(7, id, 'one '))
    expect(again.description).toMatch(/^Bad Request: message is not modified: /)
    await api.editMessageText(7, id, '_one_', { parse_mode: 'MarkdownV2' })
    await api.editMessageText(7, id, 'one')
    await api.editMessageText(7, id, 'one', { reply_markup: new InlineKeyboard().text('a') })
    await api.editMessageReplyMarkup(7, id)
    const { description } = await refusal(api.editMessageReplyMarkup(7, id))
    expect(description).toMatch(/^Bad Request: message is not modified: /)
  })

  test('of what is too long, gone or not the bot’s own is refused', async () => {
    const { api, chat } = await setUp()
    const { message_id: id } = await api.sendMessage(7, 'one')
    const edit = async (message: number, text: string) =>
      (await refusal(api.editMessageText(7, message, text))).description
    expect(await edit(id, 'a'.repeat(4097))).toBe('Bad Request: MESSAGE_TOO_LONG')
    expect(await edit(99, 'two')).toBe('Bad Request: message to edit not found')
    expect(await edit(chat.user().say('mine').message.id, 'two')).toBe("Bad Request: message can't be edited")
    await api.deleteMessage(7, id)
    expect(await edit(id, 'two')).toBe('Bad Request: message to edit not found')
  })
})

test('a deleted message is gone, and cannot be deleted twice', async () => {
  const { api, chat } = await setUp()
  const { message_id: id } = await api.sendMessage(7, 'one')
  await api.deleteMessage(7, id)
  expect(chat.messages).toEqual([])
  expect(chat.deletedMessages.map(({ text }) => text)).toEqual(['one'])
  const { description } = await refusal(api.deleteMessage(7, id))
  expect(description).toBe('Bad Request: message to delete not found')
})

test('a draft is shown until the message comes', async () => {
  const { api, chat } = await setUp()
  await api.sendMessageDraft(7, 1, 'Hel')
  await api.sendMessageDraft(7, 1, 'Hello *Anna', { parse_mode: 'HTML' })
  expect(chat.draft).toBe('Hello *Anna')
  await api.sendMessage(7, 'Hello Anna')
  expect(chat.draft).toBeUndefined()
})

test('signs, reactions and commands', async () => {
  const { api, chat, server } = await setUp()
  await api.sendChatAction(7, 'typing')
  expect(chat.actions).toMatchObject([{ action: 'typing' }])
  const { message } = chat.user().say('hi')
  await api.setMessageReaction(7, message.id, [{ type: 'emoji', emoji: '👍' }])
  expect(message.reactions).toEqual([{ type: 'emoji', emoji: '👍' }])
  await api.setMyCommands([{ command: 'start', description: 'Begin' }])
  expect(await api.getMyCommands()).toEqual([{ command: 'start', description: 'Begin' }])
  expect(await api.getMe()).toEqual(server.bot)
})
