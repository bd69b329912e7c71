import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { intentOf } from '../src/agent/offline/intents.js'
import { recall } from '../src/agent/offline/recall.js'

describe('what the user wants', () => {
  it.each([
    ['hello', { kind: 'greet' }],
    ['Good morning!', { kind: 'greet' }],
    ['thanks a lot', { kind: 'thank' }],
    ['what can you do?', { kind: 'help' }],
    ['remember that my cat is called Miso.', { kind: 'remember', note: 'my cat is called Miso' }],
    ['Remember: the code is 7', { kind: 'remember', note: 'the code is 7' }],
    ['what do you know?', { kind: 'list-notes' }],
    ['What do you remember about me?', { kind: 'list-notes' }],
    ['my notes', { kind: 'list-notes' }],
    ['forget about my cat', { kind: 'forget', words: 'my cat' }],
    ['remind me in 2 minutes to stretch', { kind: 'remind', words: 'in 2 minutes to stretch' }],
    ['could you please remind me at 9 to run', { kind: 'remind', words: 'at 9 to run' }],
    ['reminders', { kind: 'list-reminders' }],
    ['what are my reminders?', { kind: 'list-reminders' }],
    ['list my reminders', { kind: 'list-reminders' }],
    ['delete reminder 2', { kind: 'drop-reminder', number: 2 }],
    ['forget reminder #1', { kind: 'drop-reminder', number: 1 }],
    ['my time zone is Europe/Berlin', { kind: 'set-timezone', zone: 'Europe/Berlin' }],
    ['My timezone is America/New York.', { kind: 'set-timezone', zone: 'America/New York' }],
    ['what time is it?', { kind: 'tell-time' }],
    ['what is my cat called?', { kind: 'other' }],
    ['do you remember my cat?', { kind: 'other' }],
    ['I went for a walk', { kind: 'other' }],
  ])('%s', (text, intent) => {
    expect(intentOf(text)).toEqual(intent)
  })

  it('keeps a note to the letter, but for the dot at its end', () => {
    const notes = fc.string({ unit: 'grapheme', minLength: 1, maxLength: 80 })
    fc.assert(
      fc.property(notes, (note) => {
        const kept = note.trim().replace(/[\s.]+$/, '')
        fc.pre(kept !== '' && !/^(that\s|[\s,:])/i.test(kept))
        expect(intentOf(`remember ${kept}`)).toEqual({ kind: 'remember', note: kept })
      }),
    )
  })
})

describe('recalling', () => {
  const notes = ['my cat is called Miso', 'the dentist is Dr Braun', 'my cats like fish']

  it.each([
    ['what is my cat called?', ['my cat is called Miso']],
    ['who is my dentist', ['the dentist is Dr Braun']],
    ['tell me about the cat', ['my cat is called Miso', 'my cats like fish']],
    ['what is this?', []],
  ])('%s', (question, expected) => {
    expect(recall(question, notes)).toEqual(expected)
  })

  it('never makes anything up', () => {
    fc.assert(
      fc.property(fc.string(), fc.array(fc.string()), (question, some) => {
        for (const note of recall(question, some)) expect(some).toContain(note)
      }),
    )
  })
})
