import { readFileSync } from 'node:fs'

/** The rules that docs/security.md recommends for boxes with a network: each line of its block that begins so. */
export const FIREWALL = readFileSync(new URL('../../../../docs/security.md', import.meta.url), 'utf8')
  .split('\n')
  .filter((line) => line.startsWith('iptables '))
