import { request } from 'node:http'
import { text } from 'node:stream/consumers'
import { pipeline } from 'node:stream/promises'

/** @typedef {import('node:stream').Readable} Readable */

/** The few calls that set-up makes to a Docker engine, over its socket. */
export class EngineApi {
  #socketPath

  /** @param {string} socketPath */
  constructor(socketPath) {
    this.#socketPath = socketPath
  }

  /**
   * @param {string} method
   * @param {string} path
   * @param {{ body?: Readable, signal?: AbortSignal, timeout?: number }} [options] timeout: longest silence, in milliseconds
   * @returns {Promise<string>} the answer's body
   */
  async call(method, path, { body, signal, timeout = 60_000 } = {}) {
    const headers = body ? { 'content-type': 'application/x-tar' } : {}
    const call = request({ socketPath: this.#socketPath, method, path, headers, signal, timeout })
    call.once('timeout', () => call.destroy(new Error(`no answer within ${timeout / 1000} s`)))
    /** @type {Promise<import('node:http').IncomingMessage>} */
    const answered = new Promise((resolve, reject) => call.once('response', resolve).once('error', reject))
    // An engine may refuse before it has read the whole body: then its answer tells more than the broken pipe.
    const [response] = await Promise.all([answered, body ? pipeline(body, call) : call.end()])
    const answer = await text(response)
    if ((response.statusCode ?? 500) >= 300)
      throw new Error(`${method} ${path}: ${response.statusCode} ${answer.trim()}`)
    return answer
  }

  /**
   * @param {string} path
   * @param {{ signal?: AbortSignal, timeout?: number }} [options]
   * @returns {Promise<any>}
   */
  async get(path, options) {
    return JSON.parse(await this.call('GET', path, options))
  }
}
