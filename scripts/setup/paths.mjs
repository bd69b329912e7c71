import { fileURLToPath } from 'node:url'

/** The root of this clone. */
export const ROOT = fileURLToPath(new URL('../../', import.meta.url)).replace(/\/$/, '')

/** What set-up keeps between runs. Ignored by git; deleting it costs nothing but time. */
export const CACHE = `${ROOT}/.cache`
