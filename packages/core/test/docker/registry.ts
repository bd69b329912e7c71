import { createHash, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { gzipSync } from 'node:zlib'
import { onTestFinished } from 'vitest'
import { tar } from './image.js'

/** A registry on 127.0.0.1 with one image, which engines trust without TLS. */
export interface Registry {
  /** The image's reference. */
  readonly image: string
  /** How often the image was downloaded. */
  pulls(): number
  /** How often somebody asked what image it is. */
  asks(): number
  /** Requests for the layer wait until `release` is called. */
  hold(): void
  release(): void
  /** Resolves once the layer is asked for. */
  readonly asked: Promise<void>
}

export async function serveRegistry(login?: { username: string; password: string }): Promise<Registry> {
  const content = tar([
    { path: 'etc/passwd', content: 'root:x:0:0:root:/root:/bin/sh\n' },
    { path: 'big', content: randomBytes(3 * 1024 ** 2) },
  ])
  const layer = gzipSync(content, { level: 1 })
  const digestOf = (bytes: Buffer) => `sha256:${createHash('sha256').update(bytes).digest('hex')}`
  const config = Buffer.from(
    JSON.stringify({
      architecture: process.arch === 'x64' ? 'amd64' : process.arch,
      os: 'linux',
      config: { Cmd: ['-'] },
      rootfs: { type: 'layers', diff_ids: [digestOf(content)] },
    }),
  )
  const manifest = Buffer.from(
    JSON.stringify({
      schemaVersion: 2,
      mediaType: 'application/vnd.docker.distribution.manifest.v2+json',
      config: {
        mediaType: 'application/vnd.docker.container.image.v1+json',
        size: config.length,
        digest: digestOf(config),
      },
      layers: [
        {
          mediaType: 'application/vnd.docker.image.rootfs.diff.tar.gzip',
          size: layer.length,
          digest: digestOf(layer),
        },
      ],
    }),
  )
  let pulls = 0
  let asks = 0
  let held: Promise<void> = Promise.resolve()
  let release = (): void => undefined
  let tellAsked = (): void => undefined
  const asked = new Promise<void>((resolve) => {
    tellAsked = resolve
  })
  const expected = login && `Basic ${Buffer.from(`${login.username}:${login.password}`).toString('base64')}`
  const server = createServer(async (request, response) => {
    response.setHeader('docker-distribution-api-version', 'registry/2.0')
    if (expected && request.headers.authorization !== expected)
      return void response.writeHead(401, { 'www-authenticate': 'Basic realm="test"' }).end()
    const send = (type: string, bytes: Buffer) => {
      response.writeHead(200, {
        'content-type': type,
        'content-length': bytes.length,
        'docker-content-digest': digestOf(bytes),
      })
      response.end(request.method === 'HEAD' ? undefined : bytes)
    }
    const { url = '' } = request
    if (url === '/v2/') return void response.end('{}')
    if (/^\/v2\/agent\/manifests\/(1|sha256:.*)$/.test(url)) {
      asks++
      return send('application/vnd.docker.distribution.manifest.v2+json', manifest)
    }
    if (url.endsWith(digestOf(config))) return send('application/octet-stream', config)
    if (url.endsWith(digestOf(layer))) {
      pulls++
      tellAsked()
      await held
      return send('application/octet-stream', layer)
    }
    response.writeHead(404, { 'content-type': 'application/json' })
    response.end('{"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest unknown"}]}')
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  onTestFinished(() => {
    server.closeAllConnections()
    server.close()
  })
  return {
    image: `127.0.0.1:${(server.address() as AddressInfo).port}/agent:1`,
    pulls: () => pulls,
    asks: () => asks,
    hold: () => {
      held = new Promise((resolve) => {
        release = resolve
      })
    },
    release: () => release(),
    asked,
  }
}
