import { documents, readDocument } from './documents.mjs'

/**
 * @param {string} document
 * @param {'ts' | 'js' | 'python'} language
 * @returns {string[]} what it shows of that language
 */
export function snippetsOf(document, language) {
  const fence = new RegExp(`^\`\`\`${language}\\n([\\s\\S]*?)^\`\`\`$`, 'gm')
  return [...readDocument(document).matchAll(fence)].map(([, code = '']) => code)
}

/** @returns {{ name: string, code: string }[]} all TypeScript of all documents, each a module by itself */
export function modules() {
  return documents().flatMap((document) =>
    snippetsOf(document, 'ts').map((code, index) => {
      const name = `${document.replace(/\W/g, '-')}-${index + 1}.ts`
      return { name, code: asModule(code) }
    }),
  )
}

/**
 * With what the text around it presumes.
 *
 * @param {string} code
 */
function asModule(code) {
  const presumed = Object.entries(MADE).filter(([making]) => !code.includes(making))
  return `${[THE_APPS, ...presumed.map(([, declaration]) => declaration)].join('\n')}\n${code}\nexport {}\n`
}

const THE_APPS = `declare function callTheModel(body: unknown, context: { tenant: string; signal: AbortSignal }): Promise<unknown>
declare function isPaying(tenant: string): boolean
declare function listOfTenants(): { tenant: string; dir: string }[]
declare function log(...words: unknown[]): void
declare function userOf(request: import('node:http').IncomingMessage): string | undefined
declare const metrics: { wake(...values: unknown[]): void }
declare const secretToken: string
declare const token: string
declare const MyMeta: import('@standard-schema/spec').StandardSchemaV1<{ topic: string }>
declare const MyPayload: import('@standard-schema/spec').StandardSchemaV1<{ channel: string }>`

/** What a block presumes, unless it has in it what makes one. */
const MADE = {
  'new TenantPool': `declare const pool: import('@tenantbox/core').TenantPool`,
  'new Mailbox': `declare const mailbox: import('@tenantbox/core').Mailbox<{ text: string } | import('@tenantbox/workspace').Due>`,
  'new Bot': `declare const bot: import('grammy').Bot<import('grammy').Context & import('@tenantbox/telegram').TenantFlavor>`,
  'telegram(bot': `declare const tg: import('@tenantbox/telegram').TelegramGateway`,
}
