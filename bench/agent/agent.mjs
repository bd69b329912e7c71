// The smallest agent: what is measured is the way to it.
import { createServer } from 'node:http'

createServer((request, response) => {
  if (request.url === '/healthz') return response.end('{}')
  response.setHeader('content-type', 'text/plain').end('hello')
}).listen(process.env.TENANTBOX_SOCKET)

process.once('SIGTERM', () => process.exit())
