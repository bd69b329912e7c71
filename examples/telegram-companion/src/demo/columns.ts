const WIDTH = 52

/** Two chats side by side, what is said and what happens in each on its own side. */
export class Columns {
  readonly #print: (line: string) => void

  constructor(print: (line: string) => void) {
    this.#print = print
  }

  heads(left: string, right: string): void {
    this.#row(left, right)
    this.#row('─'.repeat(WIDTH - 2), '─'.repeat(WIDTH - 2))
  }

  say(side: 'left' | 'right', text: string): void {
    for (const line of text.split('\n').flatMap((one) => wrap(one)))
      if (side === 'left') this.#row(line, '')
      else this.#row('', line)
  }

  #row(left: string, right: string): void {
    this.#print(`${left.padEnd(WIDTH)}│ ${right}`.trimEnd())
  }
}

/** Continued lines are indented as the first one is. */
function wrap(text: string): string[] {
  const indent = /^\W*/.exec(text)?.[0].length ?? 0
  const lines: string[] = []
  let rest = text
  while (rest.length > WIDTH - 2) {
    const space = rest.lastIndexOf(' ', WIDTH - 2)
    const end = space > indent ? space : WIDTH - 2
    lines.push(rest.slice(0, end))
    rest = `${' '.repeat(indent)}${rest.slice(end).trimStart()}`
  }
  return [...lines, rest]
}
