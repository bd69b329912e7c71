import { posix } from 'node:path'
import type { Readable } from 'node:stream'
import { type AgentFile, TenantBoxError } from '@tenantbox/core'
import type { Workspace } from '@tenantbox/workspace'
import { InputFile } from 'grammy'
import { safeName } from '../common/file-name.js'
import { isBlank, plain } from '../text/formatted.js'
import { renderMarkdown } from '../text/markdown.js'
import { CAPTION_LIMIT, split } from '../text/split.js'
import type { Outgoing } from './outgoing.js'
import type { Pace } from './pace.js'
import { ownErrorOf, refusalOf } from './refusal.js'

const PHOTOS = /^image\/(jpeg|png|webp)$/
const PHOTO_NAMES = /\.(jpe?g|png|webp)$/i

/**
 * Sends a file of the workspace, opened without following the tenant's symlinks: an image as a photo, if Telegram takes
 * it as one, anything else as a document. A caption that is too long comes before it as a message.
 *
 * @throws WorkspaceError for what cannot be read; TenantBoxError `TOO_LARGE`
 */
export async function sendWorkspaceFile(
  outgoing: Outgoing,
  workspace: Workspace,
  file: AgentFile,
  { pace, maxBytes }: { pace: Pace; maxBytes: number },
): Promise<void> {
  const { chat } = outgoing
  const caption = await pace.run(chat.tenant, chat.signal, () => renderMarkdown(file.caption ?? ''))
  const fits = caption.text.length <= CAPTION_LIMIT
  await outgoing.file(file.path, async () => {
    if (!fits) for (const part of split(caption)) if (!isBlank(part)) await outgoing.post(part, 'final')
    const shown = fits ? caption : plain('')
    // Opened for nothing but to fail now, and not in the middle of a request.
    ;(await workspace.files.createReadStream(file.path)).destroy()
    // grammY writes the name into a header as it is: quoted, it may have spaces.
    const name = `"${nameOf(file).replaceAll('"', "'")}"`
    const input = (): InputFile => new InputFile(() => readBounded(workspace, file.path, maxBytes), name)
    try {
      if (!isPhoto(file) || !(await isTaken(chat.sendPhoto(input(), shown))))
        await chat.sendDocument(input(), shown)
    } catch (error) {
      throw ownErrorOf(error) ?? error
    }
  })
}

/** False when Telegram does not take it as a photo: its size, its sides, or no image at all. */
async function isTaken(sending: Promise<void>): Promise<boolean> {
  try {
    await sending
    return true
  } catch (error) {
    if (refusalOf(error)?.kind !== 'refused') throw error
    return false
  }
}

async function* readBounded(
  workspace: Workspace,
  path: string,
  maxBytes: number,
): AsyncGenerator<Uint8Array> {
  const stream: Readable = await workspace.files.createReadStream(path)
  let bytes = 0
  for await (const chunk of stream) {
    bytes += (chunk as Uint8Array).byteLength
    if (bytes > maxBytes) throw tooLargeToSend(path, bytes, maxBytes)
    yield chunk as Uint8Array
  }
}

function tooLargeToSend(path: string, bytes: number, limit: number): TenantBoxError<'TOO_LARGE'> {
  return new TenantBoxError(
    'TOO_LARGE',
    `The file ${JSON.stringify(path)} has more than ${limit} bytes. Have the agent send a smaller one, or raise files.maxBytes.`,
    { what: 'a file to send', bytes, limit },
  )
}

function isPhoto({ mediaType, path }: AgentFile): boolean {
  return mediaType === undefined ? PHOTO_NAMES.test(path) : PHOTOS.test(mediaType)
}

function nameOf({ name, path }: AgentFile): string {
  return safeName(name) ?? safeName(posix.basename(path)) ?? 'file'
}
