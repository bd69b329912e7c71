import { adopt } from './adopt.js'
import { burst } from './burst.js'
import { hot } from './hot.js'
import { mailbox } from './mailbox.js'
import { runtimes } from './runtimes.js'
import { sleepers } from './sleepers.js'
import { telegram } from './telegram.js'
import { wake } from './wake.js'
import { workspace } from './workspace.js'

const benches = { hot, sleepers, wake, runtimes, burst, adopt, mailbox, telegram, workspace }
const names = process.argv.slice(2)

for (const [name, bench] of Object.entries(benches))
  if (names.length === 0 || names.includes(name)) await bench()
