import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { BotApiServer } from '@tenantbox/telegram/testing'
import { describe, expect, it, onTestFinished } from 'vitest'
import { containersOf, imageThatRuns, removeContainer } from './support/image.js'
import { useProgram } from './support/program.js'

/** Stands for the agent in the image: what it says shows that its box is there. */
const ECHO = `
require('node:http').createServer(async (request, response) => {
  if (request.url === '/healthz') return response.end('{}')
  let body = ''
  for await (const chunk of request) body += chunk
  response.setHeader('content-type', 'text/plain')
  response.end('box heard ' + JSON.parse(body).text)
}).listen(process.env.TENANTBOX_SOCKET)
process.on('SIGTERM', () => process.exit())`

describe('npm run companion, with an engine', { timeout: 60_000 }, () => {
  const program = useProgram()

  async function environment(image: string): Promise<NodeJS.ProcessEnv> {
    const dataDir = await mkdtemp(join(tmpdir(), 'companion-'))
    onTestFinished(() => rm(dataDir, { recursive: true }))
    const { DOCKER_HOST } = process.env
    return { DOCKER_HOST, COMPANION_DATA_DIR: dataDir, COMPANION_IMAGE: image }
  }

  it('says that there is no image, and how to build it', async () => {
    const env = await environment('companion-agent-that-is-not-there')
    const run = program({ ...env, TELEGRAM_BOT_TOKEN: '123456:ABC' })
    expect(await run.ended).toBe(1)
    expect(run.output()).toContain('✗ The engine has no image companion-agent-that-is-not-there. Build it:')
  })

  it('answers, survives its own restart, and tells the log neither the token nor what is said', async () => {
    const image = await imageThatRuns(['node', '-e', ECHO])
    const telegram = await BotApiServer.start({ token: '123456:ABC-the-token' })
    onTestFinished(() => telegram.close())
    const env = {
      ...(await environment(image)),
      TELEGRAM_BOT_TOKEN: telegram.token,
      TELEGRAM_API_ROOT: telegram.url,
    }
    onTestFinished(async () => {
      for (const name of await containersOf('companion')) await removeContainer(name)
    })
    const anna = telegram.chat(1001)
    const outputs: string[] = []
    for (const words of ['the first words', 'the second words']) {
      const run = program(env)
      await run.printed(/ listening bot=/)
      anna.user().say(words)
      await anna.answer(`box heard ${words}`, { timeout: 20_000 })
      run.kill('SIGTERM')
      expect(await run.ended).toBe(0)
      outputs.push(run.output())
    }
    expect(outputs.join('')).not.toMatch(/ABC-the-token|words/)
    // The box outlives the gateway: the second one took it over.
    expect(await containersOf('companion')).toEqual(['/tbx-companion-1001'])
  })
})
