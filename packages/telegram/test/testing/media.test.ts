import { InputFile, InputMediaBuilder } from 'grammy'
import { describe, expect, test } from 'vitest'
import { botOf, refusal, startServer } from './support/server.js'

const bytes = Buffer.from('some bytes \r\n--with-dashes')

const setUp = async () => {
  const server = await startServer()
  const { api } = botOf(server)
  /** What a bot gets that downloads a file. */
  const download = async (id: string) => {
    const { file_path: path } = await api.getFile(id)
    const response = await fetch(`${server.url}/file/bot${server.token}/${path}`)
    return Buffer.from(await response.arrayBuffer())
  }
  return { api, chat: server.chat(7), download, server }
}

describe('from the bot', () => {
  test('a document comes as it is, with its name and caption', async () => {
    const { api, download } = await setUp()
    const sent = await api.sendDocument(7, new InputFile(bytes, 'Käse.txt'), {
      caption: '<i>here</i>',
      parse_mode: 'HTML',
    })
    expect(sent).toMatchObject({
      caption: 'here',
      caption_entities: [{ type: 'italic', offset: 0, length: 4 }],
      document: { file_name: 'Käse.txt', file_size: bytes.length },
    })
    expect(await download(sent.document.file_id)).toEqual(bytes)
  })

  test('a photo has sizes, a voice message a length', async () => {
    const { api, download } = await setUp()
    const { photo } = await api.sendPhoto(7, new InputFile(bytes))
    expect(photo.length).toBeGreaterThan(1)
    expect(await download(photo.at(-1)?.file_id ?? '')).toEqual(bytes)
    const { voice } = await api.sendVoice(7, new InputFile(bytes))
    expect(await download(voice.file_id)).toEqual(bytes)
  })

  test('a file can be sent again by its id', async () => {
    const { api, download } = await setUp()
    const { document } = await api.sendDocument(7, new InputFile(bytes, 'a.txt'))
    const again = await api.sendDocument(7, document.file_id)
    expect(await download(again.document.file_id)).toEqual(bytes)
  })

  test('an album is one message a file, held together by an id', async () => {
    const { api, chat } = await setUp()
    const album = await api.sendMediaGroup(7, [
      InputMediaBuilder.photo(new InputFile(bytes), { caption: 'all of it' }),
      InputMediaBuilder.photo(new InputFile(bytes)),
    ])
    expect(album.map(({ caption }) => caption)).toEqual(['all of it', undefined])
    const groups = chat.messages.map(({ message }) => message.media_group_id)
    expect(groups).toEqual([expect.any(String), groups[0]])
  })

  test('captions have at most 1024 UTF-16 units, files at least one byte', async () => {
    const { api } = await setUp()
    const caption = 'a'.repeat(1025)
    const long = await refusal(api.sendDocument(7, new InputFile(bytes, 'a'), { caption }))
    expect(long.description).toBe('Bad Request: message caption is too long')
    const empty = await refusal(api.sendDocument(7, new InputFile(Buffer.of(), 'a')))
    expect(empty.description).toBe('Bad Request: file must be non-empty')
    const unknown = await refusal(api.sendDocument(7, 'no-such-file'))
    expect(unknown.description).toBe('Bad Request: wrong file identifier/HTTP URL specified')
  })

  test('a message with a file has no text to edit', async () => {
    const { api } = await setUp()
    const { message_id: id } = await api.sendDocument(7, new InputFile(bytes, 'a'))
    const { description } = await refusal(api.editMessageText(7, id, 'x'))
    expect(description).toBe('Bad Request: there is no text in the message to edit')
  })
})

describe('from a user', () => {
  test('documents, photos and voice messages with captions', async () => {
    const { api, chat, download } = await setUp()
    const user = chat.user()
    user.sendDocument({ name: 'a.txt', type: 'text/plain', bytes }, { caption: '/read this' })
    user.sendPhoto({ name: 'a.jpg', type: 'image/jpeg', bytes })
    user.sendVoice({ name: 'a.ogg', type: 'audio/ogg', bytes })
    const [document, photo, voice] = (await api.getUpdates()).map(({ message }) => message)
    expect(document).toMatchObject({
      caption: '/read this',
      caption_entities: [{ type: 'bot_command', offset: 0, length: 5 }],
      document: { file_name: 'a.txt', mime_type: 'text/plain' },
    })
    for (const id of [document?.document?.file_id, photo?.photo?.at(-1)?.file_id, voice?.voice?.file_id])
      expect(await download(id ?? '')).toEqual(bytes)
  })

  test('an album is an update a file', async () => {
    const { api, chat } = await setUp()
    const file = { name: 'a.jpg', type: 'image/jpeg', bytes }
    chat.user().sendAlbum([
      { kind: 'photo', ...file, caption: 'two' },
      { kind: 'photo', ...file },
    ])
    const messages = (await api.getUpdates()).map(({ message }) => message)
    expect(messages).toHaveLength(2)
    expect(messages[0]?.media_group_id).toBe(messages[1]?.media_group_id)
  })

  test('bots cannot download more than 20 MB', async () => {
    const { api, chat } = await setUp()
    const send = (size: number) =>
      chat.user().sendDocument({ name: 'big', type: '', bytes: Buffer.alloc(size) }).message.message.document
    expect((await api.getFile(send(20 * 1024 * 1024)?.file_id ?? '')).file_path).toBeDefined()
    const big = await refusal(api.getFile(send(20 * 1024 * 1024 + 1)?.file_id ?? ''))
    expect(big.description).toBe('Bad Request: file is too big')
  })

  test('a caption can be edited', async () => {
    const { api, chat } = await setUp()
    const user = chat.user()
    const { message } = user.sendPhoto({ name: 'a', type: '', bytes }, { caption: 'one' })
    user.edit(message.id, 'two')
    const [, edit] = await api.getUpdates()
    expect(edit?.edited_message).toMatchObject({ caption: 'two', photo: expect.any(Array) })
  })
})
