import type { BoxUser } from './box-config.js'

/** The text of an image's `/etc/passwd` and `/etc/group`; empty where it has none. */
export interface Accounts {
  readonly passwd: string
  readonly group: string
}

/**
 * The image's accounts plus one for the box's uid and gid, so that programs which look themselves up (`os.userInfo()`,
 * git, ssh) find a name and a home. The image's own accounts stay as they are.
 */
export function withAccount(image: Accounts, { uid, gid }: BoxUser): Accounts {
  const name = unusedName(image)
  return {
    passwd: withLine(image.passwd, uid, `${name}:x:${uid}:${gid}::/workspace:/bin/sh`),
    group: withLine(image.group, gid, `${name}:x:${gid}:`),
  }
}

/** In both files the number is the third field. */
function withLine(text: string, id: number, line: string): string {
  if (text.split('\n').some((entry) => entry.split(':')[2] === String(id))) return text
  return `${text}${text === '' || text.endsWith('\n') ? '' : '\n'}${line}\n`
}

function unusedName({ passwd, group }: Accounts): string {
  const taken = new Set(`${passwd}\n${group}`.split('\n').map((entry) => entry.split(':')[0]))
  let name = 'tenant'
  for (let n = 2; taken.has(name); n++) name = `tenant${n}`
  return name
}
