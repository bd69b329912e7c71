// The agent of engine-kill.engine.test.ts: it notes what it is asked, and ends some answers only when the test lets it.
import { appendFile } from 'node:fs/promises'
import { createServer, request } from 'node:http'

const { TENANTBOX_SOCKET, TENANTBOX_GATEWAY, HOME } = process.env

process.once('SIGTERM', () => process.exit())
createServer(answer).listen(TENANTBOX_SOCKET)

async function answer(incoming, outgoing) {
  if (incoming.url === '/healthz') return outgoing.end('{}')
  if (incoming.url !== '/message') return outgoing.writeHead(404).end()
  let body = ''
  for await (const chunk of incoming) body += chunk
  const { text } = JSON.parse(body)
  await appendFile(`${HOME}/asked`, `${text}\n`)
  outgoing.writeHead(200, { 'content-type': 'text/plain' })
  outgoing.write(`answer to ${text}`)
  if (text.startsWith('slow')) await mayGoOn(text)
  outgoing.end(', all of it')
}

function mayGoOn(text) {
  return new Promise((resolve, reject) => {
    const path = `/may-go-on?${encodeURIComponent(text)}`
    const asked = request({ socketPath: TENANTBOX_GATEWAY, path }, (reply) =>
      reply.resume().once('end', resolve),
    )
    asked.once('error', reject).end()
  })
}
