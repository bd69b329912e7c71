import { randomBytes } from 'node:crypto'
import { chmodSync } from 'node:fs'
import { dirname } from 'node:path'
import { TenantPool } from '@tenantbox/core'
import { docker } from '@tenantbox/core/docker'
import { beforeAll, expect, test } from 'vitest'
import { Workspace } from '../../src/index.js'
import { everything } from '../support/archives.js'
import { buildProgram } from '../support/child.js'
import { temporaryFolder } from '../support/folder.js'
import { speak } from '../support/speaker.js'

const EACH = 500

let program: string
beforeAll(async () => {
  program = await buildProgram('speaker-in-box')
  // The box has a uid of its own.
  chmodSync(dirname(program), 0o755)
})

test('an agent in its box and the gateway say and archive things at once: nothing is lost, doubled, spliced or out of order', {
  timeout: 180_000,
}, async () => {
  const image = process.env.TENANTBOX_TEST_IMAGE
  if (!image)
    throw new Error(
      'This test needs an engine and an image: run it by `npm test`, which finds or makes both.',
    )
  await using pool = new TenantPool({
    name: `t${randomBytes(6).toString('hex')}`,
    driver: docker(),
    dataDir: temporaryFolder(),
    box: {
      image,
      command: ['sleep', '1000000'],
      ready: 'started',
      mounts: [{ host: dirname(program), box: '/agent' }],
    },
    onClose: 'remove',
  })
  await pool.use('anna', async (box) => {
    const problems: unknown[] = []
    const workspace = await Workspace.open(box.workspaceDir, {
      onProblem: (problem) => problems.push(problem),
    })
    const heard = workspace.session.follow()[Symbol.asyncIterator]()
    const inBox = box.exec(['node', '/agent/program.mjs', 'agent', String(EACH)], { timeout: '2m' })
    await Promise.race([heard.next(), inBox])
    await heard.return?.()
    await speak(box.workspaceDir, 'gateway', EACH)
    expect(await inBox).toMatchObject({ exitCode: 0, stderr: '' })

    const found = await everything(box.workspaceDir, workspace)
    expect(problems).toEqual([])
    expect(found.indexOf('gateway-0')).toBeLessThan(found.indexOf(`agent-${EACH - 1}`))
    for (const name of ['agent', 'gateway'])
      expect(found.filter((id) => id.startsWith(name))).toEqual(
        Array.from({ length: EACH }, (_, index) => `${name}-${index}`),
      )
    expect(found).toHaveLength(2 * EACH)
  })
})
