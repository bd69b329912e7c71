import type Docker from 'dockerode'
import { describe, expect, it } from 'vitest'
import { isStopped, listedRecord } from '../../src/docker/records.js'

const POOL = { name: 'app', owner: 'o1', dataDir: '/data' }

function listed(over: Partial<Docker.ContainerInfo>): Docker.ContainerInfo {
  return {
    Id: 'c1',
    Names: ['/tbx-app-ann'],
    State: 'exited',
    Labels: {
      'dev.tenantbox.pool': 'app',
      'dev.tenantbox.owner': 'o1',
      'dev.tenantbox.tenant': 'ann',
      'dev.tenantbox.spec': 's1',
    },
    ...over,
  } as Docker.ContainerInfo
}

describe('what a listing tells of a box', () => {
  it.each(['created', 'exited'])('is enough of one that is %s', (State) => {
    expect(isStopped(listed({ State }))).toBe(true)
    expect(listedRecord(POOL, listed({ State }))).toEqual({
      ref: { id: 'c1', tenant: 'ann', slug: 'ann' },
      aside: false,
      state: 'stopped',
      startedAt: 0,
      spec: 's1',
    })
    expect(listedRecord(POOL, listed({ State, Names: ['/tbx-app-ann.aside'] }))?.aside).toBe(true)
  })

  it.each([
    ['running', 'running'],
    ['paused', 'paused'],
    ['restarting', 'stopped'],
    ['removing', 'stopped'],
    ['dead', 'stopped'],
  ])('is not enough of one that is %s, unless there is no more to be had', (State, state) => {
    expect(isStopped(listed({ State }))).toBe(false)
    expect(listedRecord(POOL, listed({ State }))).toMatchObject({ state, startedAt: 0, spec: 's1' })
  })

  it.each([
    ['without a name', { Names: [] }],
    ['with another name', { Names: ['/tbx-app-bob'] }],
    ['without our labels', { Labels: {} }],
  ])('is not enough of one %s', (_, over) => {
    expect(listedRecord(POOL, listed(over))).toBeUndefined()
  })
})
