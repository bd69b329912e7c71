import { type Browser, chromium } from 'playwright-core'

interface Extras {
  findExtra(name: string): { program: string; env: Record<string, string> } | undefined
}

/** JavaScript without types of its own: npm test uses it before anything is installed. */
const EXTRAS = new URL('../../../../scripts/setup/extras.mjs', import.meta.url).href

/** Chromium of the PATH, or the one that `npm test` has unpacked into the project's cache. */
export async function launchChromium(): Promise<Browser> {
  const { findExtra }: Extras = await import(EXTRAS)
  const found = findExtra('chromium')
  if (!found) throw new Error('There is no Chromium. npm test gets one, or leaves this test out and says so.')
  return chromium.launch({
    executablePath: found.program,
    env: { ...process.env, ...found.env },
    // It would else ask Google's hosts for this and that.
    args: [
      '--disable-gpu',
      '--disable-quic',
      '--disable-background-networking',
      '--disable-component-update',
    ],
  })
}
