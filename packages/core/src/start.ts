import { join } from 'node:path'
import { DiskImages } from './disk/images.js'
import type { DriverReport, DriverWarning } from './driver.js'
import { errnoOf } from './errno.js'
import { isTenantBoxError, TenantBoxError } from './errors.js'
import type { PoolEvents } from './lifecycle.js'
import type { ResolvedOptions, Settings } from './options.js'
import type { PoolEmitter } from './pool-events.js'
import { PoolLock } from './pool-lock.js'
import { type Opened, Runtime } from './runtime.js'
import { TenantDirs } from './tenant-dirs.js'
import { printable, toMessage } from './text.js'
import { startWarning } from './warnings.js'

/** What a runtime is opened with. */
export interface StartRequest extends Pick<Opened, 'options' | 'current' | 'events' | 'gateway' | 'mailbox'> {
  readonly signal: AbortSignal
  lockChanged(state: PoolEvents['lock']['state']): void
}

/**
 * Takes the lock, reaches the engine, adopts. Whatever fails, nothing stays open behind it.
 *
 * @throws TenantBoxError `POOL_LOCKED`, `ENGINE_UNAVAILABLE`, `UNSUPPORTED_ENGINE`, `INVALID_OPTION`
 */
export async function openRuntime(
  request: StartRequest,
): Promise<{ runtime: Runtime; adopted: number; engine: string; warnings: readonly DriverWarning[] }> {
  const { options, current, events, gateway, mailbox, signal, lockChanged } = request
  const { driver, clock } = options
  const undo: (() => Promise<unknown>)[] = []
  try {
    const dirs = new TenantDirs(options.dataDir, () => clock.now())
    const lock = await PoolLock.acquire(await dirs.lockPath(), {
      mode: options.lock,
      clock,
      signal,
      onWaiting: () => lockChanged('waiting'),
    })
    undo.push(() => lock.release())
    lockChanged('held')
    const identity = await dirs.identify(options.name)
    undo.push(() => dirs.trash.close(new Error('the pool did not start')))
    const images =
      options.disk === 'image'
        ? await DiskImages.open({ clock, dirs, warn: events.warn.bind(events) })
        : undefined
    undo.push(async () => images?.disk?.close())
    await dirs.sweep((leftBehind) =>
      events.warn(
        'LEFT_BEHIND',
        `Files of a deleted tenant could not be deleted, and stay in ${join(options.dataDir, '.tenantbox', 'trash')}: ${leftBehind.slice(0, 10).map(printable).join(', ')}${leftBehind.length > 10 ? ', …' : ''}`,
      ),
    )
    const report = await driver.open(identity, { signal })
    undo.push(() => driver.close())
    const warnings = [
      ...report.warnings,
      ...(images?.warnings ?? []),
      ...missing(options, current.settings, report),
    ]
    assertNotStrict(options, warnings)
    const disk = images?.disk
    const runtime = new Runtime({ options, current, events, gateway, mailbox, dirs, disk, lock, report })
    undo.push(() => runtime.engine.close())
    const adopted = await runtime.open(signal)
    for (const warning of warnings) events.report(warning)
    return { runtime, adopted, engine: report.engine, warnings }
  } catch (error) {
    await undoAll(undo, events)
    throw inOurWords(error, options.dataDir)
  }
}

/** The last step first. One that fails is told of, and keeps none of the others from being undone. */
async function undoAll(steps: readonly (() => Promise<unknown>)[], events: PoolEmitter): Promise<void> {
  for (const step of steps.toReversed())
    try {
      await step()
    } catch (cause) {
      const message = `The start of the pool failed, and could not be undone in part: ${toMessage(cause)}`
      events.warn('START_NOT_UNDONE', message, { cause })
    }
}

/** The system's own errors here are all about files in the data folder. */
function inOurWords(error: unknown, dataDir: string): unknown {
  const code = errnoOf(error)
  if (isTenantBoxError(error) || typeof code !== 'string') return error
  return new TenantBoxError(
    'INVALID_OPTION',
    `The data folder ${dataDir} cannot be used: ${toMessage(error)}. Make it writable, give it room, or use another dataDir.`,
    { option: 'dataDir', expected: 'a folder that can be written', got: code },
    { cause: error },
  )
}

/** What the options ask for and does not come with every protection here. */
function missing(
  { driver }: ResolvedOptions,
  { idle, box }: Settings,
  { transport }: DriverReport,
): DriverWarning[] {
  const warnings: DriverWarning[] = []
  if (idle.pauseAfter !== undefined && !driver.supports.pause)
    warnings.push(
      startWarning(
        'NO_PAUSE',
        `The ${driver.name} driver cannot pause a box: idle.pauseAfter has no effect.`,
      ),
    )
  const published = box.transport === 'auto' ? transport === 'port' : box.transport !== 'socket'
  const bridged = box.network === 'internet' || (box.network === 'none' && published)
  if (bridged && driver.supports.isolation === 'container')
    warnings.push(
      startWarning(
        'NETWORK_REACHES_HOST',
        `With ${box.network === 'internet' ? "network: 'internet'" : 'transport: { port }'} a box reaches what listens on this machine beyond its loopback${box.network === 'internet' ? ', and the metadata service of a cloud' : ''}: the engine cannot prevent that. Set the firewall rules of docs/security.md, or use network: 'none' with a socket and let the box ask the gateway (pool.serve).`,
      ),
    )
  return warnings
}

function assertNotStrict({ strict }: ResolvedOptions, warnings: readonly DriverWarning[]): void {
  const [first] = warnings
  if (!strict || !first) return
  throw new TenantBoxError(
    'INVALID_OPTION',
    `With strict: true a missing protection is an error. ${warnings.map(({ code, message }) => `${code}: ${message}`).join(' ')}`,
    {
      option: 'strict',
      expected: 'an engine that gives every protection',
      got: warnings.map(({ code }) => code).join(', '),
    },
  )
}
