import type { Readable, Writable } from 'node:stream'

/** A process of a box, as the functions that play it see it. */
export interface MemoryProcess {
  readonly tenant: string
  /** What its environment holds; `HOME` is the tenant's workspace folder on this machine. */
  readonly env: Readonly<Record<string, string>>
  readonly cwd: string
  readonly stdin: Readable
  /** Of the box's own process: the box's log. */
  readonly stdout: Writable
  readonly stderr: Writable
  /** SIGTERM. What goes on after it is cut off once the grace is over. */
  readonly signal: AbortSignal
}

/** Plays a program; what it returns is its exit code, 0 if nothing. */
export type MemoryProgram = (process: MemoryProcess, command: readonly string[]) => Result | Promise<Result>

// biome-ignore lint/suspicious/noConfusingVoidType: a function without a return statement is a program, too
type Result = number | void

/**
 * Plays the agent: answers all requests that reach the box, `GET /healthz` too, without which the box does not become
 * ready. `request.signal` aborts when the caller goes away.
 */
export type MemoryAgent = (request: Request, process: MemoryProcess) => Response | Promise<Response>

/** What is in an image. */
export interface MemoryImage {
  /**
   * Answers HTTP. `false`: nothing listens, connections are refused.
   * @default `/healthz` answers 200, `/message` the text it was sent
   */
  readonly agent?: MemoryAgent | false | undefined
  /** What the box itself runs: its end is the box's. @default runs until SIGTERM, then exits with 143 */
  readonly main?: MemoryProgram | undefined
  /** Runs the commands of `box.exec` and `box.spawn`. @default every command is missing: 127 */
  readonly exec?: MemoryProgram | undefined
  /** The image's own health check. @default 'healthy' */
  readonly health?: (() => 'starting' | 'healthy' | 'unhealthy') | undefined
}

export type FullMemoryImage = { readonly [K in keyof MemoryImage]-?: NonNullable<MemoryImage[K]> }

export function fillImage(image: MemoryImage): FullMemoryImage {
  return {
    agent: image.agent ?? echo,
    main: image.main ?? untilTerminated,
    exec: image.exec ?? commandNotFound,
    health: image.health ?? (() => 'healthy'),
  }
}

async function echo(request: Request): Promise<Response> {
  const { pathname } = new URL(request.url)
  if (pathname === '/healthz') return Response.json({})
  if (pathname !== '/message') return new Response(null, { status: 404 })
  const { text } = (await request.json()) as { text: string }
  return new Response(text)
}

function untilTerminated({ signal }: MemoryProcess): Promise<number> {
  return new Promise((resolve) => signal.addEventListener('abort', () => resolve(143), { once: true }))
}

function commandNotFound({ stderr }: MemoryProcess, [name]: readonly string[]): number {
  stderr.write(`${name}: not found\n`)
  return 127
}
