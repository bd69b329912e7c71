import type { Message, PhotoSize } from 'grammy/types'
import type { FileContent, FileStore } from './files.js'

export type MediaKind = 'document' | 'photo' | 'voice'
export type Media = Pick<Message, 'document' | 'photo' | 'voice'>

/** Stores a file and describes it as a message does. */
export function addMedia(files: FileStore, kind: MediaKind, content: FileContent): Media {
  switch (kind) {
    case 'document': {
      const file = files.add('documents', content)
      return {
        document: {
          file_id: file.id,
          file_unique_id: file.uniqueId,
          file_name: file.name,
          mime_type: file.type || 'application/octet-stream',
          file_size: file.bytes.length,
        },
      }
    }
    case 'photo':
      return { photo: [photoSize(files, content, 90, 67), photoSize(files, content, 1280, 960)] }
    case 'voice': {
      const file = files.add('voice', content)
      return {
        voice: {
          file_id: file.id,
          file_unique_id: file.uniqueId,
          duration: 1,
          mime_type: file.type || 'audio/ogg',
          file_size: file.bytes.length,
        },
      }
    }
  }
}

/** Telegram makes smaller versions of a photo; here they differ in nothing but what is said of them. */
function photoSize(files: FileStore, content: FileContent, width: number, height: number): PhotoSize {
  const file = files.add('photos', { ...content, name: 'photo.jpg' })
  return { file_id: file.id, file_unique_id: file.uniqueId, file_size: file.bytes.length, width, height }
}
