import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { parseRequest } from '../src/agent/offline/when.js'

const SATURDAY = new Date('2026-11-28T15:30:00Z')

describe('what stands after "remind me"', () => {
  it.each([
    ['in 2 minutes to stretch', 'stretch', { at: '2026-11-28T15:32:00.000Z' }],
    ['to stretch in 90 seconds', 'stretch', { at: '2026-11-28T15:31:30.000Z' }],
    ['in half an hour to take the cake out', 'take the cake out', { at: '2026-11-28T16:00:00.000Z' }],
    ['tomorrow at 18:00 to call mum', 'call mum', { at: '2026-11-29T18:00:00' }],
    ['to call mum tomorrow at 6pm.', 'call mum', { at: '2026-11-29T18:00:00' }],
    ['that the bins go out on monday at 7', 'the bins go out', { at: '2026-11-30T07:00:00' }],
    ['at 9 to leave', 'leave', { at: '2026-11-29T09:00:00' }],
    ['the day after tomorrow at 9 to vote', 'vote', { at: '2026-11-30T09:00:00' }],
    ['on 5 May at noon about the dentist', 'the dentist', { at: '2027-05-05T12:00:00' }],
    ['to buy 2 tickets tomorrow at 8', 'buy 2 tickets', { at: '2026-11-29T08:00:00' }],
    ['every weekday at 9 to stand up', 'stand up', { cron: '0 9 * * 1-5' }],
    ['to stand up every weekday at 9:15 am', 'stand up', { cron: '15 9 * * 1-5' }],
    ['every day at noon to eat', 'eat', { cron: '0 12 * * *' }],
    ['every evening to write', 'write', { cron: '0 18 * * *' }],
    ['every Monday and Thursday at 7pm to train', 'train', { cron: '0 19 * * 1,4' }],
    ['every weekend at 10 to rest', 'rest', { cron: '0 10 * * 0,6' }],
    ['every 2 hours to drink', 'drink', { every: '2h' }],
    ['every hour to drink', 'drink', { every: '1h' }],
    ['every 10 minutes to blink', 'blink', { every: '10m' }],
    ['each Monday at 9 to run', 'run', { cron: '0 9 * * 1' }],
    ['on Mondays at 9 to run', 'run', { cron: '0 9 * * 1' }],
    ['weekdays at 9 a.m. to stand up', 'stand up', { cron: '0 9 * * 1-5' }],
    ['daily at 9 to stand up', 'stand up', { cron: '0 9 * * *' }],
    ['at 7 every weekday to stand up', 'stand up', { cron: '0 7 * * 1-5' }],
    ["every weekday at 9 o'clock to stand up", 'stand up', { cron: '0 9 * * 1-5' }],
    ['every mon, wed and fri at 7 to run', 'run', { cron: '0 7 * * 1,3,5' }],
    ['every monday morning to run', 'run', { cron: '0 8 * * 1' }],
    ['every sunday evening at 7 to call', 'call', { cron: '0 19 * * 0' }],
    ['at noon to eat', 'eat', { at: '2026-11-29T12:00:00' }],
    ['tomorrow at 18:00 to check every door', 'check every door', { at: '2026-11-29T18:00:00' }],
    ['at 9 to give each cat its food', 'give each cat its food', { at: '2026-11-29T09:00:00' }],
    ['yesterday at 9 to call', 'call', { at: '2026-11-27T09:00:00' }],
  ])('%s', (words, text, when) => {
    expect(parseRequest(words, SATURDAY, 'Europe/Berlin')).toEqual({ text, when })
  })

  it.each([
    'to be kind',
    '',
    'tomorrow at 9',
    'every 0 minutes to blink',
    'every day at 25 to eat',
    'at 25:00 to eat',
    'on 31 February to pay',
    'in 99999999999 minutes to rest',
    'in 5 Minuten zu gehen',
  ])('tells no time, or nothing to be reminded of: %s', (words) => {
    expect(parseRequest(words, SATURDAY, 'UTC')).toBeUndefined()
  })

  it.each([
    'every month to pay',
    'every year on 5 May to congratulate',
    'every other day to water the plants',
    'every 1st of the month at 9 to pay',
    'every working day at 9 to stand up',
    'every Monday through Friday at 9 to stand up',
    'every monday-friday at 9 to stand up',
    'every tuesday at half past nine to run',
    'every day at 9 and at 17 to eat',
    'every day at 9 until Friday to eat',
    'every 2 days at 9 to water the plants',
    'at 9 every 2 days to water the plants',
    'every hour from 9 to drink',
  ])('is a rule that is not understood to its end, of which half would be wrong: %s', (words) => {
    expect(parseRequest(words, SATURDAY, 'UTC')).toBeUndefined()
  })

  it('finds every time of day in every rule, on either side of what is wanted', () => {
    const days = fc.constantFrom('day', 'weekday', 'Monday', 'sunday', 'tuesday and friday')
    fc.assert(
      fc.property(days, fc.nat(23), fc.nat(59), fc.boolean(), (day, hour, minute, first) => {
        const rule = `every ${day} at ${hour}:${String(minute).padStart(2, '0')}`
        const request = parseRequest(first ? `${rule} to sing` : `to sing ${rule}`, SATURDAY, 'UTC')
        expect(request?.text).toBe('sing')
        expect(request?.when.cron).toMatch(new RegExp(`^${minute} ${hour} \\* \\* `))
      }),
    )
  })

  it('counts minutes and hours from now, whatever the time zone', () => {
    const zones = fc.constantFrom(
      'UTC',
      'Europe/Berlin',
      'America/New_York',
      'Pacific/Auckland',
      'Asia/Kolkata',
    )
    fc.assert(
      fc.property(zones, fc.integer({ min: 1, max: 999 }), fc.constantFrom(1, 60), (zone, count, minutes) => {
        const words = `in ${count} ${minutes === 1 ? 'minutes' : 'hours'} to sing`
        const at = new Date(SATURDAY.getTime() + count * minutes * 60_000).toISOString()
        expect(parseRequest(words, SATURDAY, zone)).toEqual({ text: 'sing', when: { at } })
      }),
    )
  })

  it('means the day of the user, not that of the process', () => {
    const late = new Date('2026-11-28T19:30:00Z') // in Auckland it is the 29th
    for (const [words, at] of [
      ['tomorrow at 9 to sing', '2026-11-30T09:00:00'],
      ['the day after tomorrow at 9 to sing', '2026-12-01T09:00:00'],
      ['today at 9 to sing', '2026-11-29T09:00:00'],
    ] as const)
      expect(parseRequest(words, late, 'Pacific/Auckland')?.when).toEqual({ at })
  })

  it('survives any words', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme', maxLength: 200 }), (words) => {
        const request = parseRequest(words, SATURDAY, 'UTC')
        if (request) expect(request.text).not.toBe('')
      }),
    )
  })
})
