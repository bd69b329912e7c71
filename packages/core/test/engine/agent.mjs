// The agent of these tests. After the agent contract, and with a few bad habits on request.
import { appendFile, readFile } from 'node:fs/promises'
import { createServer, request } from 'node:http'

const { TENANTBOX_SOCKET, TENANTBOX_GATEWAY, AGENT_MODE, HOME } = process.env

if (AGENT_MODE === 'exits') exit(7, 'no model here')
if (AGENT_MODE === 'hungry') eat()
if (AGENT_MODE === 'stubborn') process.on('SIGTERM', () => console.log('no'))
if (AGENT_MODE === 'silent') setInterval(() => undefined, 1000)
else createServer(answer).listen(TENANTBOX_SOCKET, () => console.log('listening'))

async function answer(incoming, outgoing) {
  if (incoming.url === '/healthz') return outgoing.end('{}')
  if (incoming.url === '/secret') return outgoing.end(await readFile('/run/secrets/token', 'utf8'))
  if (incoming.url === '/ask') return outgoing.end(await askGateway())
  if (incoming.url === '/eat') return eat()
  if (incoming.url === '/exit') return exit(3, 'enough\x07')
  if (incoming.url !== '/message') return outgoing.writeHead(404).end()
  let body = ''
  for await (const chunk of incoming) body += chunk
  const { text } = JSON.parse(body)
  if (text.startsWith('remember ')) await appendFile(`${HOME}/notes`, `${text.slice(9)}\n`)
  outgoing.writeHead(200, { 'content-type': 'application/x-ndjson' })
  outgoing.write(
    `${JSON.stringify({ type: 'text', text: await readFile(`${HOME}/notes`, 'utf8').catch(() => '') })}\n`,
  )
  outgoing.end('{"type":"done"}\n')
}

function exit(code, lastWords) {
  console.error(lastWords)
  process.exit(code)
}

function eat() {
  const eaten = []
  for (;;) eaten.push(Buffer.alloc(8 * 1024 * 1024, 1))
}

function askGateway() {
  return new Promise((resolve, reject) => {
    const asked = request(
      { socketPath: TENANTBOX_GATEWAY, path: '/llm/complete', method: 'POST' },
      async (reply) => {
        let text = ''
        for await (const chunk of reply) text += chunk
        resolve(text)
      },
    )
    asked.on('error', reject)
    asked.end('{}')
  })
}
