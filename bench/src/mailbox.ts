import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Mailbox, TenantPool, type Turn } from '@tenantbox/core'
import { MemoryEngine } from '@tenantbox/core/testing'
import { storeBare, timed } from './bare-file.js'
import { against, type Figure, median, print } from './report.js'

const POSTS = 400
const TENANTS = 1_000
const RUNNING = 20
const MESSAGES_EACH = 10
const BODY = { text: 'x'.repeat(1_000) }

/** Messages made durable and handled, beside the bare calls that make a file durable on the same disk in the same run. */
export async function mailbox(): Promise<void> {
  print('Mailbox, one tenant', await latency())
  print(`Mailbox, ${TENANTS} tenants, ${RUNNING} with a running box`, await throughput())
}

interface World {
  readonly directory: string
  readonly pool: TenantPool
  open(handle: (turn: Turn<typeof BODY>) => Promise<void>): Mailbox<typeof BODY>
}

async function inWorld(work: (world: World) => Promise<Figure[]>): Promise<Figure[]> {
  const directory = await mkdtemp(join(tmpdir(), 'tenantbox-bench-'))
  const pool = new TenantPool({
    name: 'bench',
    driver: new MemoryEngine().driver(),
    dataDir: join(directory, 'data'),
    box: { image: 'agent:1' },
  })
  try {
    return await work({
      directory,
      pool,
      open: (handle) => new Mailbox({ pool, handle, maxDepth: 10_000 }),
    })
  } finally {
    await pool.close({ boxes: 'remove' })
    await rm(directory, { recursive: true })
  }
}

function latency(): Promise<Figure[]> {
  return inWorld(async ({ directory, pool, open: openMailbox }) => {
    const stored = openMailbox(async () => {})
    const bare: number[] = []
    const ours: number[] = []
    const folder = join(directory, 'bare')
    await mkdir(folder)
    for (let index = 0; index < POSTS; index++) {
      bare.push(
        await timed(() => storeBare(folder, `${index}`, JSON.stringify({ id: `${index}`, body: BODY }))),
      )
      ours.push(await timed(() => stored.post('a', { id: `${index}`, body: BODY })))
    }
    await stored.close()

    const begun = new Map<string, number>()
    const waits: number[] = []
    const handled = openMailbox(async (turn) => {
      await turn.box()
      waits.push(performance.now() - (begun.get(turn.id) ?? 0))
    })
    await pool.ensure('b')
    await handled.start()
    for (let index = 0; index < POSTS; index++) {
      const id = `${index}`
      const done = new Promise<void>((resolve) => {
        const off = handled.on('done', (event) => {
          if (event.id !== id) return
          off()
          resolve()
        })
      })
      begun.set(id, performance.now())
      await handled.post('b', { id, body: BODY })
      await done
    }
    const wait = median(waits.slice(-POSTS))
    return [
      against('post, p50', median(ours), median(bare), 1.5),
      {
        name: 'post to the handler with its running box, p50',
        value: `${wait.toFixed(1)} ms`,
        target: 'under 5 ms',
        met: wait < 5,
      },
    ]
  })
}

function throughput(): Promise<Figure[]> {
  return inWorld(async ({ open: openMailbox }) => {
    const withBox = new Set(Array.from({ length: RUNNING }, (_, tenant) => `tenant-${tenant}`))
    const mailbox = openMailbox(async (turn) => {
      if (withBox.has(turn.tenant)) await turn.box()
    })
    await mailbox.start()
    const round = async (number: number): Promise<{ posted: number; handled: number; heap: number }> => {
      const all = TENANTS * MESSAGES_EACH
      let left = all
      const done = new Promise<void>((resolve) => {
        const off = mailbox.on('done', () => {
          if (--left > 0) return
          off()
          resolve()
        })
      })
      const began = performance.now()
      for (let message = 0; message < MESSAGES_EACH; message++)
        await Promise.all(
          Array.from({ length: TENANTS }, (_, tenant) =>
            mailbox.post(`tenant-${tenant}`, { id: `${number}.${message}`, body: BODY }),
          ),
        )
      const posted = performance.now() - began
      await done
      return { posted: rate(all, posted), handled: rate(all, performance.now() - began), heap: heapBytes() }
    }
    await round(0)
    const first = await round(1)
    const second = await round(2)
    const growth = (second.heap - first.heap) / (TENANTS * MESSAGES_EACH)
    return [
      { name: 'posted', value: `${Math.round(second.posted)}/s`, target: '', met: true },
      { name: 'posted and handled', value: `${Math.round(second.handled)}/s`, target: '', met: true },
      {
        name: 'heap that stays of a handled message',
        value: `${Math.round(growth)} bytes`,
        target: 'under 500: its id, while keepDone',
        met: growth < 500,
      },
    ]
  })
}

function rate(count: number, ms: number): number {
  return (count / ms) * 1000
}

function heapBytes(): number {
  for (let round = 0; round < 3; round++) globalThis.gc?.()
  return process.memoryUsage().heapUsed
}
