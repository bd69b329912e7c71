import { createHash } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import type { ServerResponse } from 'node:http'

/** Two levels up, both from here and from where the demo is built to. */
const PAGE = new URL('../../chat-page/page.html', import.meta.url)

/** The page, which may load nothing, and run no script or style but its own. */
export async function loadPage(): Promise<(response: ServerResponse) => void> {
  const html = await readFile(PAGE, 'utf8')
  const headers = {
    'content-type': 'text/html; charset=utf-8',
    'cache-control': 'no-store',
    'content-security-policy': [
      "default-src 'none'",
      `script-src ${hashOf('script', html)}`,
      `style-src ${hashOf('style', html)}`,
      "connect-src 'self'",
      'img-src data:',
      "base-uri 'none'",
      "form-action 'none'",
      "frame-ancestors 'none'",
    ].join('; '),
    'cross-origin-opener-policy': 'same-origin',
    'referrer-policy': 'no-referrer',
    'x-content-type-options': 'nosniff',
  }
  return (response) => {
    response.writeHead(200, headers).end(html)
  }
}

function hashOf(tag: string, html: string): string {
  const [, content] = new RegExp(`<${tag}>(.*?)</${tag}>`, 's').exec(html) ?? []
  if (content === undefined) throw new Error(`The page has no <${tag}>.`)
  return `'sha256-${createHash('sha256').update(content).digest('base64')}'`
}
