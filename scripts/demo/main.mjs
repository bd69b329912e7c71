import { inSession } from '../setup/session.mjs'

const NO_ISOLATION = `
!!!  NO ISOLATION  !!!
There is no Docker engine, so the agents of this demo run as mere processes of this machine: each can read the other's
files, and yours. That shows how a pool behaves, not what protects its tenants.`

const [example = 'quickstart'] = process.argv.slice(2)

await inSession({ build: [`@tenantbox/example-${example}`] }, ({ missing, image, run }) => {
  if (missing) console.error([NO_ISOLATION, ...missing.map((reason) => `  - ${reason}`), ''].join('\n'))
  return run('node', `examples/${example}/dist/main.js`, ...(image ? [image] : []))
})
