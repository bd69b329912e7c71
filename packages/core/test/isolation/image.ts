import { readFileSync } from 'node:fs'
import type Docker from 'dockerode'
import { find, type ImageFile, importImage, nodeFiles, programFiles } from '../docker/image.js'

/** CAP_NET_RAW, CAP_SETUID and CAP_SYS_ADMIN, permitted and effective: the attribute of a file, revision 2. */
const FILE_CAPABILITIES = Buffer.from('0100000280202000000000000000000000000000', 'hex')

/**
 * Everything an attacker would bring along: root as its user, a shell, perl and Node to attack with, and programs that
 * promise more rights to whoever runs them.
 */
export async function importAttackerImage(engine: Docker, name: string): Promise<void> {
  const files = new Map([...nodeFiles(), ...helpers()].map((file) => [file.path, file]))
  await importImage(
    engine,
    name,
    [...files.values()],
    ['USER root', 'VOLUME /volume', 'ENV PATH=/bin', 'CMD ["/bin/node", "/app/agent.mjs"]'],
  )
}

function helpers(): ImageFile[] {
  const perl = readFileSync(find('perl'))
  return [
    ...programFiles(['mkfifo', 'chmod', 'ln', 'rm', 'mkdir', 'dd', 'find', 'kill'].flatMap(installed)),
    { path: 'bin/setuid-id', content: readFileSync(find('id')), mode: 0o4755 },
    { path: 'bin/setgid-id', content: readFileSync(find('id')), mode: 0o2755 },
    { path: 'bin/setuid-cat', content: readFileSync(find('cat')), mode: 0o4755 },
    { path: 'bin/capable-perl', content: perl, mode: 0o755, capabilities: FILE_CAPABILITIES },
    { path: 'etc/roots-own', content: 'only root reads this\n', mode: 0o600 },
    { path: 'volume/open-to-all', content: 'of the image\n', mode: 0o666 },
    { path: 'app/agent.mjs', content: readFileSync(new URL('agent.mjs', import.meta.url)) },
  ]
}

/** `kill` may be the shell's alone. */
function installed(program: string): string[] {
  try {
    return [find(program)]
  } catch {
    return []
  }
}
