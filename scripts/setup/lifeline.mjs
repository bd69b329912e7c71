/**
 * For a process that another one started with an IPC channel.
 *
 * @returns {AbortSignal} aborted when that other one sends a message or is gone, however it ended, and when this process
 * is told to end
 */
export function lifeline() {
  const controller = new AbortController()
  const abort = () => controller.abort(new Error('interrupted'))
  for (const event of ['message', 'disconnect', 'SIGINT', 'SIGTERM', 'SIGHUP']) process.on(event, abort)
  if (!process.connected) abort()
  return controller.signal
}
