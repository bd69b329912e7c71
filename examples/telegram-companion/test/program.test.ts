import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it, onTestFinished } from 'vitest'
import { useProgram } from './support/program.js'

describe('npm run companion says what is missing', { timeout: 60_000 }, () => {
  const program = useProgram()

  it('a token', async () => {
    const run = program({})
    expect(await run.ended).toBe(1)
    expect(run.output()).toMatch(/^✗ There is no TELEGRAM_BOT_TOKEN\. Ask @BotFather/)
  })

  it('an engine', async () => {
    const dataDir = await mkdtemp(join(tmpdir(), 'companion-'))
    onTestFinished(() => rm(dataDir, { recursive: true }))
    const run = program({
      TELEGRAM_BOT_TOKEN: '123456:ABC-the-token',
      COMPANION_DATA_DIR: dataDir,
      DOCKER_HOST: `unix://${join(dataDir, 'no-engine.sock')}`,
    })
    expect(await run.ended).toBe(1)
    expect(run.output()).toMatch(/✗ The engine at .*no-engine\.sock .* start Docker/)
    expect(run.output()).not.toContain('ABC-the-token')
  })
})
