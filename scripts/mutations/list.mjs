/** @typedef {import('./try-all.mjs').Mutation} Mutation */

const SRC = 'packages/core/src'

/**
 * @param {string} promise the number of the promise that must break, or what else the model must say
 * @param {string} name
 * @param {Pick<Mutation, 'file' | 'from' | 'to'>} change
 * @returns {Mutation}
 */
const breaks = (promise, name, { file, from, to }) => ({
  name,
  file: `${SRC}/${file}`,
  from,
  to,
  suite: 'model/model.test.ts',
  test: 'the pool keeps every promise, whatever happens in whatever order',
  says: promise,
})

/**
 * What the model sees too seldom or not at all.
 *
 * @param {string} suite
 * @param {string} test
 * @param {string} name
 * @param {Pick<Mutation, 'file' | 'from' | 'to'>} change
 * @returns {Mutation}
 */
const fails = (suite, test, name, { file, from, to }) => ({
  name,
  file: `${SRC}/${file}`,
  from,
  to,
  suite,
  test,
})

/** What keeps the ten promises, each taken away. docs/testing.md shows the same as a table. @type {readonly Mutation[]} */
export const MUTATIONS = [
  breaks('1 at most one live box', 'the old box comes back when a rebuild fails', {
    file: 'rebuild.ts',
    from: 'await driver.restore(old)',
    to: 'await driver.inspect(old)',
  }),
  breaks('1 at most one live box', 'a rebuild that a crash cut short is ended by the next process', {
    file: 'adoption.ts',
    from: 'for (const { ref } of aside.values()) await this.#endRebuild(ref)',
    to: '',
  }),
  breaks('2 two tenants never share', 'ids that differ in case only have slugs that differ', {
    file: 'identity.ts',
    from: "if (PLAIN_SLUG.test(tenant) && !tenant.includes('--')) return tenant",
    to: 'if (PLAIN_SLUG.test(tenant.toLowerCase())) return tenant.toLowerCase()',
  }),
  breaks('3 a leased box', 'the re-check under the lock before an idle box sleeps', {
    file: 'sleep.ts',
    from: 'const still = this.#due(tenant)',
    to: "const still = this.#due(tenant) ?? 'stop'",
  }),
  fails(
    'pool/capacity.test.ts',
    'lets who waits in between two uses of another box, however closely they follow each other',
    'newcomers queue while a box is evicted',
    {
      file: 'sleep.ts',
      from: "    const openGate = this.#closeGate(tenant)\n    try {\n      if (await this.#vetoes.objectTo(tenant)) return 'vetoed'",
      to: "    const openGate = () => undefined\n    try {\n      if (await this.#vetoes.objectTo(tenant)) return 'vetoed'",
    },
  ),
  fails(
    'pool/capacity.test.ts',
    'does not hang on a box that its veto keeps',
    'one that would not go is left alone, and others are asked',
    {
      file: 'admission.ts',
      from: 'excess + this.#queue.length - this.#evicting.size',
      to: 'excess + this.#queue.length - this.#evicting.size - this.#spared.size',
    },
  ),
  breaks('3 a leased box', 'the gate: newcomers queue behind who waits for the leases to end', {
    file: 'leasing.ts',
    from: 'if (tenant.gate) await orAbort(tenant.gate, bound?.signal)\n        else if',
    to: 'if',
  }),
  breaks('10 close leaves', 'the lock: one transition of a tenant at a time', {
    file: 'serial.ts',
    from: 'this.#last.then(task)',
    to: 'Promise.resolve().then(task)',
  }),
  breaks('4 transitions are serial', 'every transition is told', {
    file: 'tenant.ts',
    from: 'this.#host.transitioned({',
    to: "if (reason !== 'evicted' && reason !== 'outside') this.#host.transitioned({",
  }),
  fails(
    'testing/memory-engine.test.ts',
    'knows strangers, also those that carry our labels',
    'a box is ours only if its exact name agrees, too',
    {
      file: 'testing/memory-store.ts',
      from: 'return ours ? { id: box.id, tenant, slug } : undefined',
      to: 'return ours || tenant ? { id: box.id, tenant, slug } : undefined',
    },
  ),
  breaks('6 a new process adopts', 'the last activity is written', {
    file: 'activity.ts',
    from: 'await this.#host.write(tenant, clock.now() - idleMs)',
    to: 'await Promise.resolve(idleMs)',
  }),
  breaks('6 a new process adopts', 'who is leased is written as active again and again', {
    file: 'activity.ts',
    from: 'for (const tenant of changed) if (tenant.wanted) this.note(tenant)',
    to: '',
  }),
  breaks('7 one owner', 'the lock on the data folder', {
    file: 'pool-lock.ts',
    from: 'if (tryLock(file.fd) && (await isStill(file, path))) {',
    to: 'if (tryLock(file.fd) || (await isStill(file, path))) {',
  }),
  breaks('8 an engine that goes away', 'callers wait for an engine that is away', {
    file: 'engine.ts',
    from: '        this.lost(error)\n        signal.throwIfAborted()',
    to: '        this.lost(error)\n        throw error',
  }),
  breaks('8 an engine that goes away', 'what was known before an outage is asked for anew (epochs)', {
    file: 'engine.ts',
    from: 'this.#epoch++',
    to: '',
  }),
  breaks('9 what the app', 'a listener that throws harms nobody', {
    file: 'guarded-emitter.ts',
    from: '    } catch (cause) {\n      failed(cause)\n',
    to: '    } catch (cause) {\n      failed(cause)\n      throw cause\n',
  }),
  breaks('10 close leaves', 'closing ends the timer of the idle tiers', {
    file: 'reaper.ts',
    from: '    this.#closed = true\n    this.#cancel?.()',
    to: '    this.#closed = true',
  }),
  breaks('10 close leaves', 'a call whose pool is closed while it waits for the engine is answered', {
    file: 'engine.ts',
    from: 'await orAbort(orAbort(this.#outage.over, signal), this.#closing.signal)',
    to: 'await this.#outage.over',
  }),
  breaks('after trouble', 'a slot is given back when neither a box nor a wake needs it', {
    file: 'admission.ts',
    from: 'else if (!tenant.flight && !tenant.inDoubt && !this.#holders.delete(tenant)) return',
    to: 'else if (!tenant.flight && !tenant.inDoubt && (tenant.failures > 0 || !this.#holders.delete(tenant))) return',
  }),
  fails(
    'pool/doubt.test.ts',
    'is woken by the next caller, after a pause whose event is lost',
    'a call without a clear answer makes the pool ask the engine',
    {
      file: 'sleep.ts',
      from: '    tenant.doubt()\n    if (isTenantBoxError',
      to: '    if (isTenantBoxError',
    },
  ),
  fails(
    'pool/doubt.test.ts',
    'is seen once it has come up',
    'an event that contradicts what is known is looked into',
    {
      file: 'adoption.ts',
      from: 'if (stillSurprising?.()) tenant.doubt()',
      to: '',
    },
  ),
  fails(
    'pool/activity.test.ts',
    'of a tenant whom somebody waits for is now',
    'demand counts from the first moment of a call',
    {
      file: 'tenant.ts',
      from: 'return this.demand > 0 || this.leases > 0',
      to: 'return this.leases > 0',
    },
  ),
  fails('pool/use.test.ts', 'fails once for all who wait for it', 'one flight for all callers of a wake', {
    file: 'wake.ts',
    from: 'if (!tenant.flight || tenant.flight.abandoned) {',
    to: 'if (tenant) {',
  }),
]
