import { describe, expect, it, onTestFinished } from 'vitest'
import { PullTally, splitReference } from '../../src/docker/pull.js'
import type { PullProgress } from '../../src/driver.js'
import { isTenantBoxError } from '../../src/errors.js'
import { serveRegistry } from './registry.js'
import { clientRefused, engine, failure, makeWorld, specOf } from './world.js'

async function withRegistry(...login: Parameters<typeof serveRegistry>) {
  const registry = await serveRegistry(...login)
  onTestFinished(() =>
    engine
      .getImage(registry.image)
      .remove({ force: true })
      .catch((error: { statusCode?: number }) => expect(error.statusCode).toBe(404)),
  )
  return registry
}

describe('an image that the engine lacks', () => {
  it('is pulled once for all who wait for it, with progress for each', async () => {
    const registry = await withRegistry()
    const { driver } = await makeWorld()
    const spec = specOf(registry.image)
    const progress: PullProgress[][] = [[], [], []]
    const ids = await Promise.all(
      progress.map((seen) => driver.prepare(spec, { onPull: (step) => seen.push(step) })),
    )
    expect(new Set(ids.map(({ image }) => image)).size).toBe(1)
    expect(ids[0]?.image).toBe((await engine.getImage(registry.image).inspect()).Id)
    expect(registry.pulls()).toBe(1)
    for (const seen of progress) {
      expect(seen.at(-1)).toMatchObject({ image: registry.image, finished: true })
      expect(seen.at(-1)?.done).toBe(seen.at(-1)?.total)
      expect(seen.filter((step) => step.finished)).toHaveLength(1)
    }
    await driver.prepare(spec)
    expect(registry.pulls()).toBe(1)
  })

  it('goes on being pulled for the others when one gives up', async () => {
    const registry = await withRegistry()
    registry.hold()
    const { driver } = await makeWorld()
    const spec = specOf(registry.image)
    const impatient = new AbortController()
    const first = failure(driver.prepare(spec, { signal: impatient.signal }))
    const second = driver.prepare(spec)
    await registry.asked
    impatient.abort(new Error('too slow'))
    expect(String(await first)).toContain('too slow')
    registry.release()
    expect((await second).image).toMatch(/^sha256:/)
    expect(registry.pulls()).toBe(1)
  })

  it('is given up when nobody waits any more, and can be asked for again', async () => {
    const registry = await withRegistry()
    registry.hold()
    const { driver } = await makeWorld()
    const spec = specOf(registry.image)
    const impatient = new AbortController()
    const only = failure(driver.prepare(spec, { signal: impatient.signal }))
    await registry.asked
    impatient.abort(new Error('too slow'))
    expect(String(await only)).toContain('too slow')
    registry.release()
    expect((await driver.prepare(spec)).image).toMatch(/^sha256:/)
  })

  it.each([500, 503])('fails only those who need it when a registry answers with %s', async (status) => {
    const client = clientRefused((request) =>
      /^POST \/images\/create/.test(request) ? { status, message: 'the registry is away' } : undefined,
    )
    const { driver } = await makeWorld({ client })
    const error = await failure(driver.prepare(specOf('tenantbox-test:missing')))
    expect(isTenantBoxError(error, 'START_FAILED') && error.details.phase).toBe('pull')
    expect(String(error)).toContain('the registry is away')
  })

  it('is pulled with credentials, which no error repeats', async () => {
    const registry = await withRegistry({ username: 'robot', password: 'correct horse' })
    const wrong = await makeWorld({ auth: { username: 'robot', password: 'battery staple' } })
    const error = await failure(wrong.driver.prepare(specOf(registry.image)))
    expect(isTenantBoxError(error, 'START_FAILED') && error.details.phase).toBe('pull')
    expect(String((error as Error).stack) + JSON.stringify(error)).not.toContain('staple')
    const asked: string[] = []
    const right = await makeWorld({
      auth: async (image) => {
        asked.push(image)
        return { username: 'robot', password: 'correct horse' }
      },
    })
    expect((await right.driver.prepare(specOf(registry.image))).image).toMatch(/^sha256:/)
    expect(asked).toEqual([registry.image])
  })

  it('is START_FAILED with what to do when the registry has none, or pulling is forbidden', async () => {
    const registry = await withRegistry()
    const { driver } = await makeWorld()
    const unknown = await failure(driver.prepare(specOf(registry.image.replace('agent:1', 'agent:2'))))
    expect(isTenantBoxError(unknown, 'START_FAILED') && unknown.details.phase).toBe('pull')
    expect(String(unknown)).toContain('docker({ auth })')
    const never = await makeWorld({ pull: 'never' })
    const error = await failure(never.driver.prepare(specOf(registry.image)))
    expect(isTenantBoxError(error, 'START_FAILED') && error.details.phase).toBe('pull')
    expect(String(error)).toContain("pull: 'never'")
    expect(registry.pulls()).toBe(0)
  })

  it('is asked for at every wake under always', async () => {
    const registry = await withRegistry()
    const { driver } = await makeWorld({ pull: 'always' })
    await driver.prepare(specOf(registry.image))
    const asked = registry.asks()
    await driver.prepare(specOf(registry.image))
    expect(registry.asks()).toBeGreaterThan(asked)
    expect(registry.pulls()).toBe(1)
  })

  it('is refused when its name is none', async () => {
    const { driver } = await makeWorld()
    for (const image of ['../info', 'a b', '', 'agent:1?x=y'])
      expect(isTenantBoxError(await failure(driver.prepare(specOf(image))), 'INVALID_OPTION'), image).toBe(
        true,
      )
  })
})

describe('an image reference', () => {
  it.each([
    ['agent', 'agent', 'latest'],
    ['agent:1', 'agent', '1'],
    ['registry.example:5000/team/agent', 'registry.example:5000/team/agent', 'latest'],
    ['registry.example:5000/team/agent:1', 'registry.example:5000/team/agent', '1'],
    ['agent@sha256:abc', 'agent', 'sha256:abc'],
    ['agent:1@sha256:abc', 'agent:1', 'sha256:abc'],
  ])('%s is %s and %s', (reference, fromImage, tag) => {
    expect(splitReference(reference)).toEqual({ fromImage, tag })
  })
})

describe('the progress of a pull', () => {
  it('adds up all layers and never goes back', () => {
    const tally = new PullTally('agent:1')
    const steps = [
      { status: 'Pulling from agent', id: '1' },
      { status: 'Downloading', id: 'a', progressDetail: { current: 10, total: 100 } },
      { status: 'Downloading', id: 'b', progressDetail: { current: 50, total: 50 } },
      { status: 'Verifying Checksum', id: 'b' },
      { status: 'Download complete', id: 'a' },
      { status: 'Extracting', id: 'a', progressDetail: { current: 1, total: 100 } },
      { status: 'Pull complete', id: 'a' },
    ].map((line) => tally.add(line))
    const image = 'agent:1'
    expect(steps).toEqual([
      undefined,
      { image, done: 10, total: 100, finished: false },
      { image, done: 60, total: 150, finished: false },
      undefined,
      { image, done: 150, total: 150, finished: false },
      undefined,
      { image, done: 150, total: 150, finished: false },
    ])
    expect(tally.finished()).toEqual({ image, done: 150, total: 150, finished: true })
  })

  it('is a failure when the engine says so', () => {
    expect(() => new PullTally('agent:1').add({ error: 'no space left on device' })).toThrow(
      'no space left on device',
    )
  })
})
