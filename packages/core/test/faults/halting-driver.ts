import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import type { ClientRequest } from 'node:http'
import type { BoxRef, Driver } from '../../src/driver.js'
import { boxName } from '../../src/identity.js'
import type { Halt } from './errands.js'

/** A driver whose calls for a tenant stand still for ever where `halts` says. */
export function haltingDriver(
  driver: Driver,
  pool: string,
  halts: Map<string, Halt>,
  halted: (tenant: string) => void,
): Driver {
  const stand = async (subject: Partial<BoxRef>, at: Halt['at'], call: () => unknown): Promise<never> => {
    const { tenant = '', slug = '' } = subject
    if (at === 'after') await call()
    if (at === 'during') {
      const sent = requestSent(subject.id ?? `name=${boxName(pool, slug)}`)
      void call()
      await sent
    }
    halted(tenant)
    return new Promise(() => undefined)
  }
  return new Proxy(driver, {
    get(target, member) {
      const value: unknown = Reflect.get(target, member, target)
      if (typeof value !== 'function') return value
      return (...args: unknown[]): unknown => {
        const call = (): unknown => value.apply(target, args)
        const subject = (args[0] ?? {}) as Partial<BoxRef>
        const halt = halts.get(subject.tenant ?? '')
        return halt?.call === member ? stand(subject, halt.at, call) : call()
      }
    },
  })
}

/** Resolves once a request that changes something about this container has left the process. */
function requestSent(about: string): Promise<void> {
  return new Promise((resolve) => {
    const started = (message: unknown): void => {
      const { request } = message as { request: ClientRequest }
      if (request.method === 'GET' || !request.path.includes(about)) return
      unsubscribe('http.client.request.start', started)
      request.once('finish', resolve)
    }
    subscribe('http.client.request.start', started)
  })
}
