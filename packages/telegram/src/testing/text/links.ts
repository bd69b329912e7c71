/** @returns the link as Telegram keeps it, or undefined for one that it drops without a word */
export function checkedLink(url: string): string | undefined {
  const found = /^(?:([a-z][a-z0-9+.-]*):\/\/)?([^/?#\s]+)([^\s]*)$/i.exec(url.trim())
  if (!found) return undefined
  const [, scheme = 'http', host = '', rest = ''] = found
  if (scheme.toLowerCase() === 'tg') return url.trim()
  if (!['http', 'https', 'ftp', 'tonsite'].includes(scheme.toLowerCase())) return undefined
  if (!/^[^.\s]+(\.[^.\s]+)*\.[^.\s\d][^.\s]+(:\d+)?$|^\d+\.\d+\.\d+\.\d+(:\d+)?$/.test(host))
    return undefined
  return `${scheme.toLowerCase()}://${host.toLowerCase()}${rest.startsWith('/') ? rest : `/${rest}`}`
}

/** @returns the user of a `tg://user?id=…` link */
export function linkedUser(url: string): number | undefined {
  const found = /^tg:(?:\/\/)?user\/?\?id=(\d+)$/i.exec(url)
  return found ? Number(found[1]) : undefined
}
