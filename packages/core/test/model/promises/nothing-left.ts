import type { KeptPromise } from './promise.js'

export const nothingLeft: KeptPromise = {
  title: '10 close leaves no timer, file or socket open, and nobody waiting',

  watch({ watchers }, broken) {
    watchers.closed.push(({ process }) => {
      if (process.timers > 0) broken(`${process.timers} timers are pending`)
      if (process.sockets.size > 0) broken(`${process.sockets.size} sockets are open`)
      if (process.files.size > 0) broken(`${process.files.size} files are open`)
    })
  },

  afterwards({ gateways, callers }, broken) {
    for (const { process, closed } of gateways)
      if (closed && process.timers + process.sockets.size + process.files.size > 0)
        broken(
          `${process.timers} timers, ${process.sockets.size} sockets, ${process.files.size} files came later`,
        )
    for (const { what, tenant } of callers.waiting) broken(`${what} of ${tenant} never ends`)
  },
}
