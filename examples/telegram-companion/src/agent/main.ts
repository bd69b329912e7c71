// The agent: it runs in each chat's box, alone with that chat's workspace, without a network or a key.
import { Notebook } from '../notebook/notebook.js'
import { brainFor } from './brains.js'
import { Companion } from './companion.js'
import { agentServer } from './server.js'
import { Turns } from './turns.js'

const { HOME = '/workspace', TENANTBOX_SOCKET, TENANTBOX_PORT } = process.env

const turns = new Turns()
const companion = new Companion({
  notebook: await Notebook.open(HOME),
  brain: brainFor(process.env),
  now: () => new Date(),
})
const server = agentServer(companion, turns)

process.once('SIGTERM', async () => {
  server.close()
  turns.cancelAll()
  await turns.idle()
  server.closeAllConnections()
})

if (TENANTBOX_SOCKET !== undefined) server.listen(TENANTBOX_SOCKET)
else server.listen(Number(TENANTBOX_PORT))
