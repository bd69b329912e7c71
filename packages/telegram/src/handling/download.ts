import { pipeline } from 'node:stream/promises'
import { type Clock, TenantBoxError } from '@tenantbox/core'
import type { Workspace } from '@tenantbox/workspace'
import type { Api } from 'grammy'
import { TelegramError, telegramAway } from '../common/errors.js'
import { grammySignal } from '../common/grammy-signal.js'
import type { TokenScrubber } from '../common/token.js'
import type { Attachment } from './attachments.js'

/** The longest silence of Telegram's while a file is fetched. */
const SILENCE_MS = 30_000

export interface DownloadOptions {
  readonly api: Api
  readonly token: string
  readonly scrubber: TokenScrubber
  readonly clock: Clock
  readonly maxBytes: number
  readonly signal: AbortSignal
}

/**
 * Fetches a file into the workspace, whole or not at all. Resolves with its size.
 *
 * @throws TenantBoxError `TOO_LARGE`, `SERVICE_UNAVAILABLE`; TelegramError `FILE_FAILED`; WorkspaceError for what cannot be written
 */
export async function download(
  attachment: Attachment,
  path: string,
  workspace: Workspace,
  options: DownloadOptions,
): Promise<number> {
  const { api, maxBytes, signal } = options
  const assertWithin = (bytes: number): void => {
    if (bytes > maxBytes) throw tooLarge(attachment, bytes, maxBytes)
  }
  assertWithin(attachment.bytes ?? 0)
  const { file_path: remote } = await api.getFile(attachment.fileId, grammySignal(signal))
  if (!remote || remote.startsWith('/'))
    throw new TelegramError(
      'FILE_FAILED',
      'Telegram names no path to fetch the file by. A Bot API server of your own must not run with --local.',
    )
  let bytes = 0
  const counted = async function* (): AsyncGenerator<Uint8Array> {
    for await (const chunk of fetchFile(remote, options)) {
      bytes += chunk.byteLength
      assertWithin(bytes)
      yield chunk
    }
  }
  await pipeline(counted, await workspace.files.createWriteStream(path))
  return bytes
}

/** The bytes of a file; each piece has a deadline of its own. */
async function* fetchFile(remote: string, options: DownloadOptions): AsyncGenerator<Uint8Array> {
  const { api, token, scrubber, clock, signal } = options
  const { apiRoot = 'https://api.telegram.org', environment = 'prod' } = api.options ?? {}
  const silence = new AbortController()
  const listen = () => clock.after(SILENCE_MS, () => silence.abort(new Error('Telegram fell silent.')))
  let stopListening = listen()
  try {
    const path = `${token}/${environment === 'test' ? 'test/' : ''}${remote}`
    const response = await fetch(`${apiRoot}/file/bot${path}`, {
      redirect: 'error',
      signal: AbortSignal.any([signal, silence.signal]),
    })
    if (!response.ok || !response.body) {
      await response.body?.cancel()
      const what = `Telegram answered ${response.status} when a file was fetched.`
      if (response.status >= 500 || response.status === 429) throw telegramAway(new Error(what))
      throw new TelegramError('FILE_FAILED', what)
    }
    for await (const chunk of response.body) {
      stopListening()
      stopListening = listen()
      yield chunk
    }
  } catch (error) {
    signal.throwIfAborted()
    if (error instanceof TelegramError || error instanceof TenantBoxError) throw error
    throw new TelegramError('FILE_FAILED', 'A file could not be fetched from Telegram: see the cause.', {
      cause: scrubber.error(error),
      retryable: true,
    })
  } finally {
    stopListening()
  }
}

function tooLarge({ name }: Attachment, bytes: number, limit: number): TenantBoxError<'TOO_LARGE'> {
  return new TenantBoxError(
    'TOO_LARGE',
    `The file ${JSON.stringify(name)} that was sent has ${bytes} bytes or more; ${limit} are taken. Telegram gives bots files of up to 20 MB.`,
    { what: 'a file that was sent', bytes, limit },
  )
}
