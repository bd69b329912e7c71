import { Duplex } from 'node:stream'

/**
 * What every connection of a box passes through. While it is frozen, what was written waits, in both directions, as it
 * does in the kernel's buffers when a process is paused.
 */
export class Freezer {
  #frozen = false
  #waiting: (() => void)[] = []

  freeze(): void {
    this.#frozen = true
  }

  thaw(): void {
    this.#frozen = false
    const waiting = this.#waiting
    this.#waiting = []
    for (const action of waiting) action()
  }

  pass(action: () => void): void {
    if (this.#frozen) this.#waiting.push(action)
    else action()
  }
}

/** Two ends of one connection inside this process. */
export function connect(freezer: Freezer): { client: Duplex; server: Duplex } {
  const client = new End(freezer)
  const server = new End(freezer)
  client.peer = server
  server.peer = client
  return { client, server }
}

class End extends Duplex {
  peer: End | undefined
  readonly #freezer: Freezer
  /** The peer's write that waits until this end is read from. */
  #unread: ((error?: Error) => void) | undefined

  constructor(freezer: Freezer) {
    super()
    this.#freezer = freezer
  }

  override _write(chunk: Buffer, _encoding: string, done: (error?: Error) => void): void {
    this.#freezer.pass(() => this.peer?.receive(chunk, done))
  }

  override _final(done: () => void): void {
    this.#freezer.pass(() => {
      this.peer?.receiveEnd()
      done()
    })
  }

  override _read(): void {
    const done = this.#unread
    this.#unread = undefined
    done?.()
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    const { peer } = this
    this.#unread?.(broken('EPIPE'))
    // An end that was closed in good order has said all it had to say; its last bytes must still be readable.
    if (peer && !this.writableFinished) this.#freezer.pass(() => peer.destroy(broken('ECONNRESET')))
    done(error)
  }

  receive(chunk: Buffer, done: (error?: Error) => void): void {
    if (this.destroyed) done(broken('EPIPE'))
    else if (this.push(chunk)) done()
    else this.#unread = done
  }

  receiveEnd(): void {
    if (!this.destroyed) this.push(null)
  }
}

function broken(code: 'EPIPE' | 'ECONNRESET'): Error {
  return Object.assign(new Error(`The other end closed the connection (${code}).`), { code })
}
