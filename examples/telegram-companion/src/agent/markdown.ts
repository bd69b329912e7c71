/** What people wrote, to stand in an answer as they wrote it: answers are Markdown. */
export function verbatim(text: string): string {
  return text.replace(/[\\`*_~[\]<>#|&]/g, '\\$&')
}
