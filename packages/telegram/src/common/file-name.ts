const LONGEST_NAME = 120

/** A name that is one in any folder, and hides nothing; undefined when nothing is left of it. */
export function safeName(name: string | undefined): string | undefined {
  const safe = name
    ?.replace(/[\p{Cc}\p{Cf}/\\]/gu, '_')
    .toWellFormed()
    .trim()
    .replace(/^\.+/, '')
  if (!safe) return undefined
  if (Buffer.byteLength(safe) <= LONGEST_NAME) return safe
  const extension = /\.[A-Za-z0-9]{1,10}$/.exec(safe)?.[0] ?? ''
  let stem = ''
  for (const character of safe.slice(0, safe.length - extension.length)) {
    if (Buffer.byteLength(stem + character) > LONGEST_NAME - extension.length) break
    stem += character
  }
  return stem + extension
}
