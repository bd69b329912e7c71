import { execFile } from 'node:child_process'
import { promisify } from 'node:util'

/** In the environment of every process of a box, and so of all its descendants that do not clear theirs. */
export const MARK = 'TENANTBOX_MARK'

/** Of the host's environment only where its programs are: for boxes, and for scripts of ours. */
export function hostPath(): { readonly PATH: string } {
  return { PATH: process.env.PATH ?? '/usr/local/bin:/usr/bin:/bin' }
}

/**
 * `sweep on off` kills the processes whose mark begins with `on` but not with `off`, until it has found none twice in a
 * row; it looks 25 times at most, should one be beyond killing. For a moment a process that is becoming another program
 * has neither environment nor arguments (seen in 2 of 100 looks at one that did nothing else): as long as there is such
 * a one, whosever it is, nothing is certain. Where there is no /proc, `ps` shows environments only in one line with the
 * arguments, so those of awk must not hold the mark in one piece.
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
becoming() {
  for file in $(grep -Ls . /proc/[0-9]*/cmdline); do
    # A thread of the kernel has no arguments either, but no program.
    [ ! -e "\${file%cmdline}exe" ] || return 0
  done
  return 1
}
sweep() {
  round=0
  clean=0
  while [ "$round" -lt 25 ] && [ "$clean" -lt 2 ]; do
    round=$((round + 1))
    clean=$((clean + 1))
    pids=$(marked "$1" "$2")
    if [ -n "$pids" ]; then
      kill -s KILL $pids 2>/dev/null
      clean=0
    elif becoming; then
      clean=0
    fi
  done
}
`

const run = promisify(execFile)

/** Kills every process whose mark begins with `on` but not with `off`. */
export async function sweep(on: string, off = 'none'): Promise<void> {
  await run('/bin/sh', ['-c', `${SWEEP} sweep "$1" "$2"`, 'sh', on, off], { env: hostPath() })
}
