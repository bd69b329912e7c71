const COMMON = new Set(
  'about also and are but can could did does for from had has have her him his how its know not our she should tell that the their them then they this was were what when where which who whom whose why will with would you your'.split(
    ' ',
  ),
)

/** The notes that share the most words with a question; none when none shares any. */
export function recall(question: string, notes: readonly string[]): readonly string[] {
  const asked = wordsOf(question)
  const scored = notes.map((note) => ({
    note,
    score: wordsOf(note).filter((word) => asked.includes(word)).length,
  }))
  const best = Math.max(0, ...scored.map(({ score }) => score))
  return best === 0 ? [] : scored.filter(({ score }) => score === best).map(({ note }) => note)
}

/** Without those that are in every sentence, and without the plural. */
function wordsOf(text: string): readonly string[] {
  const words = text.toLowerCase().match(/[\p{L}\p{N}]{3,}/gu) ?? []
  return words.filter((word) => !COMMON.has(word)).map((word) => word.replace(/s$/, ''))
}
