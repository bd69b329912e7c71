/** What the user wants, as far as rules can tell. */
export type Intent =
  | { readonly kind: 'greet' | 'thank' | 'help' | 'list-notes' | 'list-reminders' | 'tell-time' }
  | { readonly kind: 'remember'; readonly note: string }
  | { readonly kind: 'forget'; readonly words: string }
  | { readonly kind: 'remind'; readonly words: string }
  | { readonly kind: 'drop-reminder'; readonly number: number }
  | { readonly kind: 'set-timezone'; readonly zone: string }
  | { readonly kind: 'other' }

type Rule = readonly [RegExp, (found: string) => Intent]

/** The first that matches counts; its first group is handed on. */
const RULES: readonly Rule[] = [
  [/^(?:hi|hello|hey|good (?:morning|evening|afternoon))\b[\s\w]{0,20}[!.]*$/i, () => ({ kind: 'greet' })],
  [/^(?:thanks|thank you|thx|cheers)\b[\s\w]{0,30}[!.]*$/i, () => ({ kind: 'thank' })],
  [/^(?:help|what can you do)\b/i, () => ({ kind: 'help' })],
  [
    /^(?:(?:can|could|would|will) you\s+)?(?:please\s+)?remind me\b\s*(.*)$/is,
    (words) => ({ kind: 'remind', words }),
  ],
  [
    /^(?:please\s+)?remember\b[\s,:]+(?:that\s+)?(.+)$/is,
    (note) => ({ kind: 'remember', note: undotted(note) }),
  ],
  [
    /^(?:please\s+)?(?:delete|remove|cancel|drop|forget)\s+(?:my\s+)?reminder\s+(?:number\s+|no\.?\s*|#)?(\d{1,4})[.!]*$/i,
    (number) => ({ kind: 'drop-reminder', number: Number(number) }),
  ],
  [
    /^(?:please\s+)?forget\b\s*(?:about\s+|that\s+)?(.+)$/is,
    (words) => ({ kind: 'forget', words: undotted(words) }),
  ],
  [
    /^(?:(?:show|list)\s+(?:me\s+)?)?(?:what (?:are|were) )?(?:all\s+)?(?:my\s+|the\s+)?reminders[?.!]*$/i,
    () => ({ kind: 'list-reminders' }),
  ],
  [
    /^what (?:do|did) (?:you|i) (?:know|remember|tell you|note)(?:\s+(?:about|of) me)?[?.!]*$/i,
    () => ({ kind: 'list-notes' }),
  ],
  [/^(?:(?:show|list)\s+(?:me\s+)?)?(?:my\s+|the\s+)?notes[?.!]*$/i, () => ({ kind: 'list-notes' })],
  [/^(?:my\s+)?time\s?zone\s*(?:is|:|=)\s*([\w+\-/ ]+?)[.!]*$/i, (zone) => ({ kind: 'set-timezone', zone })],
  [/^what(?:'s|’s| is)? (?:the )?(?:time|day|date)\b/i, () => ({ kind: 'tell-time' })],
]

export function intentOf(text: string): Intent {
  const words = text.trim()
  for (const [pattern, intent] of RULES) {
    const match = pattern.exec(words)
    if (match) return intent((match[1] ?? '').trim())
  }
  return { kind: 'other' }
}

function undotted(text: string): string {
  return text.replace(/[\s.]+$/, '')
}
