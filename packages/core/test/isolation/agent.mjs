// A well-behaved agent, for the attacker and for whom it attacks: what runs in the box beside it is the test's.
import { createServer, request } from 'node:http'

const { TENANTBOX_SOCKET, TENANTBOX_GATEWAY } = process.env

createServer((incoming, outgoing) => {
  if (incoming.url === '/healthz' || incoming.url === '/ping') return outgoing.end('{}')
  if (incoming.url === '/ask') return askGateway(outgoing)
  outgoing.writeHead(404).end()
}).listen(TENANTBOX_SOCKET, () => console.log('listening'))

function askGateway(outgoing) {
  request({ socketPath: TENANTBOX_GATEWAY, path: '/whoami' }, (answer) => answer.pipe(outgoing))
    .on('error', (error) => outgoing.writeHead(502).end(String(error)))
    .end()
}
