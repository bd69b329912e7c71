import type { File } from 'grammy/types'
import { badRequest } from '../api-error.js'

/** Bots can download files of up to 20 MB, and upload files of up to 50 MB. */
const LARGEST_DOWNLOAD = 20 * 1024 * 1024

export interface StoredFile {
  readonly id: string
  readonly uniqueId: string
  readonly path: string
  readonly name: string
  readonly type: string
  readonly bytes: Uint8Array
}

/** The bytes of a file, and what it is called. */
export interface FileContent {
  readonly name: string
  /** The MIME type. */
  readonly type: string
  readonly bytes: Uint8Array
}

/** Files that were sent, by bots or users. */
export class FileStore {
  readonly #byId = new Map<string, StoredFile>()
  readonly #byPath = new Map<string, StoredFile>()

  add(kind: 'documents' | 'photos' | 'voice', { name, type, bytes }: FileContent): StoredFile {
    const number = this.#byId.size + 1
    const extension = /\.[a-z0-9]{1,10}$/i.exec(name)?.[0] ?? ''
    const file: StoredFile = {
      id: `file-${number}`,
      uniqueId: `unique-${number}`,
      path: `${kind}/file_${number}${extension}`,
      name,
      type,
      bytes,
    }
    this.#byId.set(file.id, file)
    this.#byPath.set(file.path, file)
    return file
  }

  byId(id: string): StoredFile | undefined {
    return this.#byId.get(id)
  }

  byPath(path: string): StoredFile | undefined {
    return this.#byPath.get(path)
  }

  /** As `getFile` answers. */
  describe(id: string): File {
    const file = this.#byId.get(id)
    if (!file) throw badRequest('wrong file_id or the file is temporarily unavailable')
    if (file.bytes.length > LARGEST_DOWNLOAD) throw badRequest('file is too big')
    return {
      file_id: file.id,
      file_unique_id: file.uniqueId,
      file_size: file.bytes.length,
      file_path: file.path,
    }
  }
}
