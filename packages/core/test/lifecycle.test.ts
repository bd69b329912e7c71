import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { type BoxState, isLegal, isLive, isSettled, SETTLED, TRANSITIONS } from '../src/lifecycle.js'

const states = Object.keys(TRANSITIONS) as BoxState[]

describe('the transition table', () => {
  it('allows what it lists and nothing else on the pool’s own account', () => {
    for (const from of states)
      for (const to of states)
        expect(isLegal(from, to, 'demand')).toBe((TRANSITIONS[from] as readonly BoxState[]).includes(to))
  })

  it('lets the world outside move a box between settled states only', () => {
    for (const from of states)
      for (const to of states)
        expect(isLegal(from, to, 'outside')).toBe(from !== to && isSettled(from) && isSettled(to))
  })

  it('lets every live state end as stopped, because anything may die', () => {
    for (const state of states) if (isLive(state)) expect(TRANSITIONS[state]).toContain('stopped')
  })

  it('leads from every unsettled state back to a settled one', () => {
    for (const state of states)
      if (!isSettled(state))
        expect(TRANSITIONS[state].some((to) => (SETTLED as readonly BoxState[]).includes(to))).toBe(true)
  })

  it('is what the diagram in the docs shows, arrow by arrow', () => {
    const docs = readFileSync(new URL('../../../docs/architecture.md', import.meta.url), 'utf8')
    const diagram = /stateDiagram-v2\n([\s\S]*?)```/.exec(docs)?.[1] ?? ''
    const drawn = [...diagram.matchAll(/^ {2}(\w+) --> (\w+)/gm)].map(([, from, to]) => `${from} -> ${to}`)
    const listed = states.flatMap((from) => TRANSITIONS[from].map((to) => `${from} -> ${to}`))
    expect(drawn.sort()).toEqual(listed.sort())
  })
})
