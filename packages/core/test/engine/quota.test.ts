import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { failure, next } from '../pool/helpers.js'
import { containers, useAgentImage, world } from './world.js'

const image = useAgentImage()

it('a box over limits.disk is stopped when nobody leases it, and wakes when it has shrunk', async () => {
  const { pool, name, again } = await world(image, { box: { image, limits: { disk: '1m' } } })
  const quota = next(pool, 'quota')
  const stopped = next(pool, 'transition', ({ to, reason }) => to === 'stopped' && reason === 'quota')
  const workspaceDir = await pool.use('a', async (box) => {
    const fill = "fs.writeFileSync('/workspace/big', Buffer.alloc(3_000 * 1024, 1))"
    expect((await box.exec(['/bin/node', '-e', fill])).exitCode).toBe(0)
    return box.workspaceDir
  })
  expect(await quota).toMatchObject({ tenant: 'a', limit: 1024 ** 2, over: true })
  expect((await quota).bytes).toBeGreaterThan(3_000 * 1024)
  expect(await stopped).toMatchObject({ tenant: 'a' })
  expect((await containers(name)).map(({ state }) => state)).toEqual(['exited'])
  await failure(pool.send('a', 'hello').text(), 'OVER_QUOTA')
  await pool.close()
  // A new process has to find it out again.
  const second = again()
  await failure(second.send('a', 'hello').text(), 'OVER_QUOTA')
  await rm(join(workspaceDir, 'big'))
  expect(await second.send('a', 'remember x').text()).toBe('x\n')
}, 60_000)
