import { randomBytes } from 'node:crypto'
import { request } from 'node:http'
import { text } from 'node:stream/consumers'
import { onTestFinished } from 'vitest'

/** Just enough of the engine's API to make an image of another one and a command. */
export async function imageThatRuns(command: readonly string[]): Promise<string> {
  const base = process.env.TENANTBOX_TEST_IMAGE
  const name = `companion-test:${randomBytes(6).toString('hex')}`
  const [repo, tag] = name.split(':')
  const made = JSON.parse(await ask('POST', '/containers/create', { Image: base })) as { Id: string }
  try {
    const query = new URLSearchParams({ container: made.Id, repo: repo ?? '', tag: tag ?? '' })
    await ask('POST', `/commit?${query}`, { Cmd: command })
  } finally {
    await ask('DELETE', `/containers/${made.Id}?force=true`)
  }
  onTestFinished(async () => void (await ask('DELETE', `/images/${name}?force=true`)))
  return name
}

/** Names of all containers that are of this pool. */
export async function containersOf(pool: string): Promise<readonly string[]> {
  const all = JSON.parse(await ask('GET', '/containers/json?all=true')) as { Names: string[] }[]
  return all.flatMap(({ Names }) => Names).filter((name) => name.startsWith(`/tbx-${pool}-`))
}

export async function removeContainer(name: string): Promise<void> {
  await ask('DELETE', `/containers/${encodeURIComponent(name.replace(/^\//, ''))}?force=true`)
}

async function ask(method: string, path: string, body?: object): Promise<string> {
  const socketPath = (process.env.DOCKER_HOST ?? 'unix:///var/run/docker.sock').replace('unix://', '')
  return await new Promise((resolve, reject) => {
    const headers = { 'content-type': 'application/json' }
    const asked = request({ socketPath, method, path, headers }, (response) => {
      text(response).then((answer) => {
        if ((response.statusCode ?? 0) < 300) resolve(answer)
        else reject(new Error(`${method} ${path}: ${response.statusCode} ${answer}`))
      }, reject)
    })
    asked.once('error', reject).end(body === undefined ? undefined : JSON.stringify(body))
  })
}
