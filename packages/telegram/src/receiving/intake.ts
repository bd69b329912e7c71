import { isTenantBoxError } from '@tenantbox/core'
import { type Api, Context } from 'grammy'
import type { Update, UserFromGetMe } from 'grammy/types'
import type { Warn } from '../common/warnings.js'
import type { Albums } from './albums.js'
import type { Migrations } from './migrations.js'

/** What taking updates in needs of the gateway. */
export interface IntakeHost {
  readonly api: Api
  readonly me: UserFromGetMe
  readonly migrations: Migrations
  readonly albums: Albums
  /** False: each part of an album is a message. */
  readonly gathers: boolean
  readonly warn: Warn
  /** Undefined: by chat. */
  readonly tenant: ((ctx: Context) => string | undefined) | undefined
  readonly lane: (ctx: Context) => 'queue' | 'now'
  /** Resolves once it is durable. */
  post(
    tenant: string,
    updates: readonly [Update, ...Update[]],
    lane: 'queue' | 'now',
  ): Promise<{ duplicate: boolean }>
  /** Somebody has written something that is to be answered. */
  arrived(tenant: string): void
  /** The tenant has too many messages waiting; this one is dropped. */
  flooded(tenant: string, ctx: Context, error: unknown): void
  /** Of no tenant. */
  handleDirectly(update: Update): void
}

/** Takes updates in from Telegram: finds out whose they are, and makes them durable. */
export class Intake {
  readonly #host: IntakeHost

  constructor(host: IntakeHost) {
    this.#host = host
  }

  /**
   * Resolves when all are durable: only then may Telegram be told. Called again with the same after a failure, it does
   * nothing twice. Those of one tenant keep their order.
   *
   * @throws TenantBoxError `NOT_STORED`, `MAILBOX_FULL` (of all tenants together), `POOL_CLOSED`
   */
  async take(updates: readonly Update[]): Promise<void> {
    const { api, me, migrations, handleDirectly } = this.#host
    const byTenant = new Map<string, Context[]>()
    const nobodys: Update[] = []
    for (const update of updates) {
      const ctx = new Context(update, api, me)
      if (ctx.msg) await migrations.note(ctx.msg)
      const tenant = this.#tenantOf(ctx)
      if (tenant === 'dropped') continue
      if (tenant === undefined) nobodys.push(update)
      else byTenant.set(tenant.id, [...(byTenant.get(tenant.id) ?? []), ctx])
    }
    await Promise.all([...byTenant].map(([tenant, contexts]) => this.#takeAll(tenant, contexts)))
    for (const update of nobodys) handleDirectly(update)
  }

  /** Makes an album durable as one; drops it when the tenant has too many messages waiting. */
  async takeAlbum(tenant: string, updates: readonly [Update, ...Update[]]): Promise<void> {
    const { api, me } = this.#host
    await this.#post(tenant, updates, new Context(updates[0], api, me))
  }

  async #takeAll(tenant: string, contexts: readonly Context[]): Promise<void> {
    const { albums, gathers } = this.#host
    let posts: Promise<void>[] = []
    const settle = async (): Promise<void> => {
      const settled = posts
      posts = []
      await Promise.all(settled)
    }
    for (const ctx of contexts) {
      const group = ctx.msg?.media_group_id
      if (gathers && group !== undefined && !ctx.msg?.edit_date) {
        await settle()
        await albums.add(tenant, group, ctx.update)
        this.#host.arrived(tenant)
      } else {
        if (albums.has(tenant)) {
          await settle()
          await albums.flush(tenant)
        }
        posts.push(this.#post(tenant, [ctx.update], ctx))
      }
    }
    await settle()
  }

  async #post(tenant: string, updates: readonly [Update, ...Update[]], ctx: Context): Promise<void> {
    const { post, flooded, arrived, warn } = this.#host
    const lane = this.#laneOf(tenant, ctx)
    try {
      const { duplicate } = await post(tenant, updates, lane)
      if (!duplicate && lane === 'queue' && ctx.message) arrived(tenant)
    } catch (error) {
      if (isTenantBoxError(error, 'MAILBOX_FULL') && error.details.bound === 'tenant')
        return flooded(tenant, ctx, error)
      if (!isTenantBoxError(error, 'INVALID_TENANT', 'TOO_LARGE')) throw error
      warn('UPDATE_DROPPED', `An update was dropped: ${error.message}`, { tenant, cause: error })
    }
  }

  /** Undefined: nobody's. */
  #tenantOf(ctx: Context): { id: string } | undefined | 'dropped' {
    const { tenant: tenantOf, migrations, warn } = this.#host
    try {
      const id = tenantOf ? tenantOf(ctx) : ctx.chat && String(migrations.originOf(ctx.chat.id))
      return id === undefined ? undefined : { id }
    } catch (cause) {
      warn('UPDATE_DROPPED', 'The tenant option threw: the update was dropped. See the cause.', { cause })
      return 'dropped'
    }
  }

  #laneOf(tenant: string, ctx: Context): 'queue' | 'now' {
    try {
      return this.#host.lane(ctx)
    } catch (cause) {
      this.#host.warn('UPDATE_DROPPED', 'The lane option threw: the update waits in the queue.', {
        tenant,
        cause,
      })
      return 'queue'
    }
  }
}
