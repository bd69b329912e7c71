import { execFile } from 'node:child_process'
import { promisify } from 'node:util'

/** In the environment of every process of a box, and so of all its descendants that do not clear theirs. */
export const MARK = 'TENANTBOX_MARK'

/** Of the host's environment only where its programs are: for boxes, and for scripts of ours. */
export function hostPath(): { readonly PATH: string } {
  return { PATH: process.env.PATH ?? '/usr/local/bin:/usr/bin:/bin' }
}

/**
 * `sweep on off` kills the processes whose mark begins with `on` but not with `off`, and looks again until there are
 * none, five times at most, should one be beyond killing. Where there is no /proc, `ps` shows environments only in one
 * line with the arguments, so those of awk must not hold the mark in one piece.
 */
export const SWEEP = `
marked() {
  if [ -d /proc/self/fd ]; then
    grep -lsF -e "${MARK}=$1" /proc/[0-9]*/environ | while IFS=/ read -r _ _ pid _; do
      grep -qsF -e "${MARK}=$2" "/proc/$pid/environ" || echo "$pid"
    done
  else
    ps -axEww -o pid=,command= | awk -v on="$1" -v off="$2" '
      BEGIN { mark = "${MARK.slice(0, 6)}" "${MARK.slice(6)}=" }
      index($0, mark on) && !index($0, mark off) { print $1 }'
  fi
}
sweep() {
  for _ in 1 2 3 4 5; do
    pids=$(marked "$1" "$2")
    [ -n "$pids" ] || return 0
    kill -s KILL $pids 2>/dev/null
  done
  return 0
}
`

const run = promisify(execFile)

/** Kills every process whose mark begins with `on` but not with `off`. */
export async function sweep(on: string, off = 'none'): Promise<void> {
  await run('/bin/sh', ['-c', `${SWEEP} sweep "$1" "$2"`, 'sh', on, off], { env: hostPath() })
}
