import type { File, Message } from 'grammy/types'
import { badRequest } from '../api-error.js'
import { Params } from '../http/params.js'
import { isRecord } from '../json.js'
import type { FileContent } from '../state/files.js'
import { addMedia, type Media, type MediaKind } from '../state/media.js'
import { formattedText } from '../text/formatted-text.js'
import type { Call, Method } from './call.js'
import { openEnvelope } from './sending.js'

/** In UTF-16 code units, after the markup is parsed. */
const LONGEST_CAPTION = 1024
const LARGEST_ALBUM = 10

export function sendMedia(kind: MediaKind): Method {
  return (call) => {
    const caption = captionOf(call, call.params)
    const media = mediaOf(call, kind, kind, call.params)
    const { record, envelope } = openEnvelope(call)
    return call.world.post(record, { ...envelope, ...media, ...caption }).message
  }
}

export function sendMediaGroup(call: Call): Message[] {
  const items = call.params.array('media', 'media') ?? []
  if (items.length === 0) throw badRequest('there are no messages to send')
  if (items.length > LARGEST_ALBUM) throw badRequest('too many messages to send as an album')
  const prepared = items.map((raw) => {
    if (!isRecord(raw)) throw badRequest("can't parse InputMedia: expected an Object")
    const kind = raw.type
    if (kind !== 'photo' && kind !== 'document')
      throw badRequest("can't use the media of the specified type in the album")
    const params = new Params(raw, call.params.uploads)
    return { ...mediaOf(call, kind, 'media', params), ...captionOf(call, params) }
  })
  const { record, envelope } = openEnvelope(call)
  const album = call.world.nextId()
  return prepared.map((content) => {
    return call.world.post(record, { ...envelope, ...content, media_group_id: album }).message
  })
}

export function getFile({ world, params }: Call): File {
  return world.files.describe(params.string('file_id') ?? '')
}

function captionOf({ world }: Call, params: Params): Pick<Message, 'caption' | 'caption_entities'> {
  const names = { text: 'caption', entities: 'caption_entities' }
  const { text, entities } = formattedText(params, names, world.mentioned)
  if (text.length > LONGEST_CAPTION) throw badRequest('message caption is too long')
  if (text === '') return {}
  return { caption: text, ...(entities.length > 0 && { caption_entities: [...entities] }) }
}

function mediaOf({ world }: Call, kind: MediaKind, name: string, params: Params): Media {
  return addMedia(world.files, kind, contentOf(world.files, kind, name, params))
}

function contentOf(
  files: Call['world']['files'],
  kind: MediaKind,
  name: string,
  params: Params,
): FileContent {
  const upload = params.upload(name)
  if (upload) {
    if (upload.bytes.length === 0) throw badRequest('file must be non-empty')
    return upload
  }
  const named = params.string(name) ?? ''
  if (named === '' || named.startsWith('attach://')) throw badRequest(`there is no ${kind} in the request`)
  if (/^https?:/.test(named)) throw badRequest('failed to get HTTP URL content')
  const file = files.byId(named)
  if (!file) throw badRequest('wrong file identifier/HTTP URL specified')
  return file
}
