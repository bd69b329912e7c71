import { TenantBoxError } from './errors.js'

/** Answers a request from a tenant's box. Its signal aborts when the box is no longer there for the answer. */
export type GatewayHandler = (
  request: Request,
  context: { tenant: string; signal: AbortSignal },
) => Response | Promise<Response>

/** One or more segments, or the root: nothing that a URL would write in another way. */
const PREFIX = /^(\/|(\/[^/?#\\\s]+)+)$/

/** Which handler answers under which path. */
export class GatewayRoutes {
  /** The longest prefix first. */
  #routes: readonly { readonly prefix: string; readonly handler: GatewayHandler }[] = []

  /**
   * Has `handler` answer `prefix` and everything below it, unless a longer prefix does.
   *
   * @returns the remover
   * @throws TenantBoxError `INVALID_OPTION` for what is no prefix or has a handler already
   */
  add(prefix: string, handler: GatewayHandler): () => void {
    if (typeof prefix !== 'string' || !PREFIX.test(prefix))
      throw invalidPrefix('a path such as "/model", without a slash at its end', prefix)
    if (this.#routes.some((route) => route.prefix === prefix))
      throw invalidPrefix('one that is not served yet: remove the other handler first', prefix)
    const route = { prefix, handler }
    this.#routes = [...this.#routes, route].sort((one, other) => other.prefix.length - one.prefix.length)
    return () => {
      this.#routes = this.#routes.filter((other) => other !== route)
    }
  }

  find(path: string): GatewayHandler | undefined {
    return this.#routes.find(({ prefix }) => isBelow(prefix, path))?.handler
  }
}

function isBelow(prefix: string, path: string): boolean {
  return path === prefix || path.startsWith(prefix === '/' ? prefix : `${prefix}/`)
}

function invalidPrefix(expected: string, prefix: unknown): TenantBoxError<'INVALID_OPTION'> {
  const got = JSON.stringify(prefix) ?? typeof prefix
  return new TenantBoxError('INVALID_OPTION', `The prefix of serve must be ${expected}, got ${got}.`, {
    option: 'prefix',
    expected,
    got,
  })
}
