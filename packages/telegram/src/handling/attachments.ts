import type { Message } from 'grammy/types'
import { safeName } from '../common/file-name.js'

/** A file that a message brings, before it is fetched. */
export interface Attachment {
  readonly fileId: string
  readonly name: string
  readonly mediaType: string
  /** As far as Telegram says. */
  readonly bytes: number | undefined
}

interface Like {
  readonly file_id: string
  readonly file_size?: number
  readonly file_name?: string
  readonly mime_type?: string
}

/** What a message brings along; of a photo, the largest of its sizes. */
export function attachmentOf(message: Message): Attachment | undefined {
  const { photo, voice, audio, video, video_note, animation, document, sticker } = message
  const largest = photo?.at(-1)
  if (largest) return toAttachment(largest, 'photo.jpg', 'image/jpeg')
  if (voice) return toAttachment(voice, 'voice.ogg', 'audio/ogg')
  if (audio) return toAttachment(audio, 'audio.mp3', 'audio/mpeg')
  if (video) return toAttachment(video, 'video.mp4', 'video/mp4')
  if (video_note) return toAttachment(video_note, 'video.mp4', 'video/mp4')
  if (animation) return toAttachment(animation, 'animation.mp4', 'video/mp4')
  if (document) return toAttachment(document, 'file', 'application/octet-stream')
  if (sticker?.is_animated) return toAttachment(sticker, 'sticker.tgs', 'application/x-tgsticker')
  if (sticker?.is_video) return toAttachment(sticker, 'sticker.webm', 'video/webm')
  return sticker && toAttachment(sticker, 'sticker.webp', 'image/webp')
}

function toAttachment(file: Like, name: string, mediaType: string): Attachment {
  return {
    fileId: file.file_id,
    name: safeName(file.file_name) ?? name,
    mediaType: file.mime_type ?? mediaType,
    bytes: file.file_size,
  }
}
