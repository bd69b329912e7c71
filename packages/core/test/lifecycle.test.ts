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
})
