import type { Server } from 'node:http'
import type { Socket } from 'node:net'
import { Duplex } from 'node:stream'
import type { Turns } from './turns.js'

/** What is read of a connection in its turn. */
const PIECE = 64 * 1024

/**
 * Has `server` read all its connections in turns: a piece of one of them in each turn of the event loop. What those who
 * connect have sent is parsed by Node in one go otherwise, however much it is, whatever it costs, and of all of them.
 *
 * Listeners for connections that were added before are given the gated ones.
 */
export function readInTurns(server: Server, turns: Turns): void {
  const listeners = server.listeners('connection')
  server.removeAllListeners('connection')
  server.on('connection', (socket: Socket) => {
    const gated = new GatedConnection(socket, turns)
    for (const listener of listeners) listener.call(server, gated)
  })
}

/** A connection whose bytes arrive a piece at a time. Otherwise it is as the socket is. */
class GatedConnection extends Duplex {
  readonly #socket: Socket
  readonly #turns: Turns
  /** Whether somebody asks for bytes, and whether their turn is waited for. */
  #reading: 'not asked' | 'asked' | 'in line' = 'not asked'

  constructor(socket: Socket, turns: Turns) {
    super({ allowHalfOpen: true })
    this.#socket = socket
    this.#turns = turns
    socket.on('readable', () => this.#pass())
    socket.on('end', () => this.push(null))
    socket.on('timeout', () => this.emit('timeout'))
    socket.on('error', (error) => this.destroy(error))
    socket.on('close', () => this.destroy())
  }

  // What `node:http` uses of a socket where there is one:

  setTimeout(ms: number, callback?: () => void): this {
    this.#socket.setTimeout(ms, callback)
    return this
  }

  /** What was written is sent; the other side need not agree to the end. */
  destroySoon(): void {
    if (this.writable) this.end()
    if (this.writableFinished) this.destroy()
    else this.once('finish', () => this.destroy())
  }

  override _read(): void {
    if (this.#reading === 'not asked') this.#reading = 'asked'
    void this.#pass()
  }

  /** One piece, in its turn, if somebody has asked for it and something is there. */
  async #pass(): Promise<void> {
    const socket = this.#socket
    if (this.#reading !== 'asked') return
    if (socket.readableLength === 0) {
      // Of what has come to its end, that is told only to who reads on.
      socket.read(0)
      return
    }
    this.#reading = 'in line'
    await this.#turns.next()
    const piece: Buffer | null = socket.read(Math.min(PIECE, socket.readableLength))
    this.#reading = piece ? 'not asked' : 'asked'
    if (piece) this.push(piece)
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: (error?: Error | null) => void): void {
    this.#socket.write(chunk, done)
  }

  override _writev(chunks: { chunk: Buffer }[], done: (error?: Error | null) => void): void {
    this.#socket.write(Buffer.concat(chunks.map(({ chunk }) => chunk)), done)
  }

  override _final(done: () => void): void {
    this.#socket.end(done)
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    this.#socket.destroy()
    done(error)
  }
}
