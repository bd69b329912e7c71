import { isUtf8 } from 'node:buffer'
import { opendir } from 'node:fs/promises'
import type { Folder } from './beneath.js'
import { systemFailure } from './errors.js'

export interface FolderName {
  readonly bytes: Buffer
  /** Undefined when the bytes are not valid UTF-8: no path can name such a file. */
  readonly name: string | undefined
}

/** The names in a folder, some at a time however many there are. */
export async function* namesOf(folder: Folder): AsyncGenerator<FolderName> {
  try {
    // The declaration knows no 'buffer' here; with it, names are bytes.
    const directory = await opendir(folder.location, {
      encoding: 'buffer' as BufferEncoding,
      bufferSize: 256,
    })
    for await (const entry of directory) {
      const bytes = Buffer.from(entry.name)
      yield { bytes, name: isUtf8(bytes) ? bytes.toString('utf8') : undefined }
    }
  } catch (error) {
    throw systemFailure(error, folder.path)
  }
}
