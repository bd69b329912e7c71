import { type FileHandle, open, stat } from 'node:fs/promises'
import { hostname } from 'node:os'
import { tryLock } from 'fs-native-extensions'
import type { Clock } from './clock.js'
import { TenantBoxError } from './errors.js'
import { sleep } from './wait.js'

/** How often a waiting process looks whether the lock is free: the kernel's own wait could not be given up. */
const POLL_MS = 200

/**
 * Ownership of a `dataDir`: a kernel lock (open file description lock) that lives exactly as long as this process, so
 * that a suspended owner keeps it and a dead one cannot. What stands in the file is for people only.
 */
export class PoolLock {
  readonly #file: FileHandle

  private constructor(file: FileHandle) {
    this.#file = file
  }

  /**
   * @throws TenantBoxError `POOL_LOCKED` with `mode: 'fail'` when another process, or another pool of this one, has it.
   */
  static async acquire(
    path: string,
    options: {
      mode: 'fail' | 'wait'
      clock: Clock
      signal?: AbortSignal | undefined
      onWaiting?: () => void
    },
  ): Promise<PoolLock> {
    let told = false
    for (;;) {
      const file = await open(path, 'a+', 0o600)
      let holder: string | undefined
      try {
        if (tryLock(file.fd) && (await isStill(file, path))) {
          await sign(file)
          return new PoolLock(file)
        }
        holder = await holderOf(file)
      } catch (error) {
        await file.close()
        throw error
      }
      await file.close()
      if (options.mode === 'fail')
        throw new TenantBoxError(
          'POOL_LOCKED',
          `The data folder of this pool is owned by ${holder}. Close that pool first, use another dataDir, or set lock: 'wait' to take over when it closes.`,
          { holder },
        )
      if (!told) options.onWaiting?.()
      told = true
      await sleep(options.clock, POLL_MS, options.signal)
    }
  }

  async release(): Promise<void> {
    await this.#file.close()
  }
}

/** Says who has the lock. */
async function sign(file: FileHandle): Promise<void> {
  try {
    await file.truncate(0)
    await file.write(JSON.stringify({ pid: process.pid, host: hostname() }))
  } catch {
    // A full disk: the lock holds all the same.
  }
}

/** Whether the lock still stands for the path it was taken on: the file may have been deleted and made anew. */
async function isStill(file: FileHandle, path: string): Promise<boolean> {
  const [ours, named] = await Promise.all([file.stat(), stat(path).catch(() => undefined)])
  return named !== undefined && ours.ino === named.ino && ours.dev === named.dev
}

async function holderOf(file: FileHandle): Promise<string> {
  const { buffer, bytesRead } = await file.read(Buffer.alloc(512), 0, 512, 0)
  try {
    const { pid, host } = JSON.parse(buffer.toString('utf8', 0, bytesRead)) as { pid: unknown; host: unknown }
    return `process ${String(pid)} on ${String(host)}`
  } catch {
    // The owner is between taking the lock and writing its name.
    return 'another process'
  }
}
