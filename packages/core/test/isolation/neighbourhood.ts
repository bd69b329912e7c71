import type { OwnEngine } from './own-engine.js'

/** Where everything is that a box may or may not reach. All of it is in namespaces of the test's own. */
export const HOST_SERVICE = 8080
export const HOST_LOOPBACK_SERVICE = 8081
/** An abstract socket: it has a name and no file. */
export const HOST_ABSTRACT_SERVICE = 'tenantbox-service-of-the-host'
export const METADATA = { host: '169.254.169.254', port: 80 }
export const INTERNET = { host: '192.0.2.1', port: 443 }
/** The host, as the world outside knows it. */
export const HOST = '198.51.100.1'
const ROUTER = '198.51.100.2'

/** A server that answers everybody with its name and the address it is asked from. */
const SERVER = `
  const [host, port, name] = process.argv.slice(1)
  require('node:net')
    .createServer((socket) => socket.on('error', () => undefined).end(name + ' ' + socket.remoteAddress))
    .listen(Number(port), host, () => console.log('listening'))`

/** Tells nothing but that it is there. */
const ABSTRACT_SERVER = `
  const [name] = process.argv.slice(1)
  require('node:net').createServer((socket) => socket.destroy()).listen('\\0' + name, () => console.log('listening'))`

/**
 * Gives the engine's network namespace services of its own and a neighbour: another namespace that plays the cloud's
 * metadata service and the rest of the world.
 */
export async function furnish(engine: OwnEngine): Promise<void> {
  await engine.run('ip', 'netns', 'add', 'outside')
  const outside = ['ip', 'netns', 'exec', 'outside'] as const
  const steps = [
    'ip link add outside0 type veth peer name inside0 netns outside',
    `ip addr add ${HOST}/24 dev outside0`,
    'ip link set outside0 up',
    ...['lo', 'inside0'].map((device) => `${outside.join(' ')} ip link set ${device} up`),
    `${outside.join(' ')} ip addr add ${ROUTER}/24 dev inside0`,
    ...[METADATA.host, INTERNET.host].map((host) => `${outside.join(' ')} ip addr add ${host}/32 dev lo`),
    `ip route add default via ${ROUTER}`,
  ]
  for (const step of steps) await engine.run(...step.split(' '))
  const serve = (where: readonly string[], host: string, port: number, name: string) =>
    engine.begin(...where, process.execPath, '-e', SERVER, host, String(port), name)
  await serve([], '0.0.0.0', HOST_SERVICE, 'host')
  await serve([], '127.0.0.1', HOST_LOOPBACK_SERVICE, 'loopback')
  await engine.begin(process.execPath, '-e', ABSTRACT_SERVER, HOST_ABSTRACT_SERVICE)
  await serve(outside, METADATA.host, METADATA.port, 'metadata')
  await serve(outside, INTERNET.host, INTERNET.port, 'internet')
}
