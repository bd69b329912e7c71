// One tenant's agent. It lives in the box, sees only its own workspace, and has neither a network nor a key.
import { appendFile, readFile } from 'node:fs/promises'
import { createServer, request } from 'node:http'
import { json } from 'node:stream/consumers'

const { HOME, TENANTBOX_SOCKET, TENANTBOX_GATEWAY } = process.env
const NOTES = `${HOME}/MEMORY.md`

createServer(async (incoming, outgoing) => {
  if (incoming.url === '/healthz') return outgoing.end('{}')
  if (incoming.url !== '/message') return outgoing.writeHead(404).end()
  const message = await json(incoming)
  const tell = (event) => outgoing.write(`${JSON.stringify(event)}\n`)
  outgoing.writeHead(200, { 'content-type': 'application/x-ndjson' })
  try {
    for await (const text of answer(message.text)) tell({ type: 'text', text })
    tell({ type: 'done' })
  } catch (error) {
    tell({ type: 'error', message: error.message })
  }
  outgoing.end()
}).listen(TENANTBOX_SOCKET)

async function* answer(text) {
  const [, note] = /^remember (.+)/.exec(text) ?? []
  if (note) {
    await appendFile(NOTES, `- ${note}\n`)
    yield 'I will remember that.'
  } else if (text === 'what do you know?') {
    yield await readNotes()
  } else {
    yield* askModel({ question: text, notes: await readNotes() })
  }
}

async function readNotes() {
  return readFile(NOTES, 'utf8').catch(() => 'Nothing yet.')
}

/** The model stands behind a key, which stays in the gateway: the agent can only ask. */
async function* askModel(prompt) {
  const response = await new Promise((resolve, reject) => {
    const asked = request({ socketPath: TENANTBOX_GATEWAY, method: 'POST', path: '/model' }, resolve)
    asked.once('error', reject).end(JSON.stringify(prompt))
  })
  response.setEncoding('utf8')
  yield* response
}

process.once('SIGTERM', () => process.exit())
