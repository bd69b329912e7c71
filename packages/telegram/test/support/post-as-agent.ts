import { request as httpRequest } from 'node:http'
import { join } from 'node:path'
import { slugOf } from '@tenantbox/core'

/** Posts as an agent does: over the socket of its own box. Resolves with the status. */
export async function postAsAgent(
  dataDir: string,
  tenant: string,
  message: object,
): Promise<number | undefined> {
  const socketPath = join(dataDir, slugOf(tenant), 'gateway', 'gateway.sock')
  return new Promise((resolve, reject) => {
    const request = httpRequest({ socketPath, path: '/messages', method: 'POST' }, (response) => {
      response.resume()
      resolve(response.statusCode)
    })
    request.on('error', reject)
    request.end(JSON.stringify(message))
  })
}
