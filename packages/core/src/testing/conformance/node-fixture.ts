import type { ResolvedBoxSpec } from '../../driver.js'
import type { SubjectBoxes, SubjectCommands } from './subject.js'

const AGENT = `
process.stdout.write('ready\\n')
process.stderr.write('note\\n')
process.on('SIGTERM', () => process.argv[1] === 'stubborn' || process.exit(0))
require('node:http')
  .createServer((request, response) => {
    const [, path, text] = request.url.split('/')
    if (path === 'say') process.stdout.write(text + '\\n')
    response.writeHead(path === 'healthz' || path === 'say' ? 200 : 404).end('{}')
  })
  .listen(process.env.TENANTBOX_SOCKET ?? process.env.TENANTBOX_PORT)
`

/**
 * The boxes and commands that the suite needs, for engines whose boxes have `node`, `sh`, `cat`, `head` and `sleep`.
 *
 * @param spec Of a box with these programs; only its `command` is replaced.
 * @param node What runs Node.
 */
export function nodeFixture(
  spec: ResolvedBoxSpec,
  node = 'node',
): { readonly boxes: SubjectBoxes; readonly commands: SubjectCommands } {
  return {
    boxes: {
      agent: { ...spec, command: [node, '-e', AGENT] },
      stubborn: { ...spec, command: [node, '-e', AGENT, 'stubborn'] },
      shortLived: { ...spec, command: ['sh', '-c', 'exit 3'] },
      withoutCommand: { ...spec, command: ['/missing/command'] },
    },
    commands: {
      cat: ['cat'],
      fail: ['sh', '-c', 'echo out; echo err >&2; exit 5'],
      where: ['sh', '-c', 'echo "$GREETING"; pwd'],
      flood: ['head', '-c', '1000000', '/dev/zero'],
      sleep: ['sleep', '600'],
      keep: ['sh', '-c', 'echo kept > "$HOME/kept"'],
      missing: ['/missing/command'],
    },
  }
}
