/** The opening of a code block at `at`: its language, and where the code begins. */
export function readFence(source: string, at: number): { language: string; end: number } {
  const [, language = ''] = /^([^\s`]*)/.exec(source.slice(at + 3)) ?? []
  const afterLanguage = at + 3 + language.length
  const isLanguage = afterLanguage < source.length && source.charAt(afterLanguage) !== '`'
  const begin = isLanguage ? afterLanguage : at + 3
  const [newline = ''] = /^(\n\r|\r\n|\n|\r)?/.exec(source.slice(begin)) ?? []
  return { language: isLanguage ? language : '', end: begin + newline.length }
}
