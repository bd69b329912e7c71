import { stat } from 'node:fs/promises'
import type { DriverCall } from '../driver.js'
import type { Engine } from './engine.js'

/** The engine's header about a file in a container: base64 of JSON. */
const STAT_HEADER = 'x-docker-container-path-stat'

/**
 * Whether the engine mounts the very file that this process sees: false when `hostDataDir` is wrong, or missing where
 * the gateway runs in a container.
 */
export async function isSameFile(
  engine: Engine,
  container: string,
  inBox: string,
  here: string,
  options: DriverCall,
): Promise<boolean> {
  const seen = await engine.call(
    'look into a box',
    async (client, abortSignal) => {
      const answer = await client.getContainer(container).infoArchive({ path: inBox, abortSignal })
      answer.resume()
      return JSON.parse(Buffer.from(String(answer.headers[STAT_HEADER]), 'base64').toString('utf8')) as Stat
    },
    options,
  )
  const { size, mtimeMs } = await stat(here)
  return seen.size === size && Math.abs(Date.parse(seen.mtime) - mtimeMs) < 1_000
}

interface Stat {
  readonly size: number
  readonly mtime: string
}
