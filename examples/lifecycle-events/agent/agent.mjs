// The smallest agent: it says hello.
import { createServer } from 'node:http'

createServer((request, response) => {
  if (request.url === '/healthz') return response.end('{}')
  response.setHeader('content-type', 'text/plain').end('hello')
}).listen(process.env.TENANTBOX_SOCKET)

process.once('SIGTERM', () => process.exit())
