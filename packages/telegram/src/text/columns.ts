import { assertWithin } from './formatted-writer.js'

/**
 * A table as text, set in columns below its first row.
 *
 * @throws TooMuchText
 */
export function inColumns(rows: readonly (readonly string[])[]): string {
  const widths = (rows[0] ?? []).map((_, column) =>
    rows.reduce((widest, row) => Math.max(widest, widthOf(row[column] ?? '')), 0),
  )
  assertWithin(rows.length * widths.reduce((sum, width) => sum + width + ' | '.length, 0))
  const lines = rows.map((row) =>
    widths
      .map((width, column) => {
        const cell = row[column] ?? ''
        return cell + ' '.repeat(width - widthOf(cell))
      })
      .join(' | ')
      .trimEnd(),
  )
  lines.splice(1, 0, widths.map((width) => '-'.repeat(width)).join('-+-'))
  return lines.join('\n')
}

function widthOf(text: string): number {
  return [...text].length
}
