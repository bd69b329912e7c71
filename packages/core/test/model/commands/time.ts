import fc from 'fast-check'
import { Step } from './step.js'

/** What clocks do. */
export const timeSteps: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 5,
    arbitrary: fc
      .constantFrom(100, 1_000, 5_000, 11_000, 31_000, 61_000, 121_000, 301_000)
      .map((ms) => new Step(`time passes(${ms})`, ({ clock }) => clock.advance(ms))),
  },
  {
    weight: 1,
    arbitrary: fc
      .constantFrom(60_000, 86_400_000)
      .map((ms) => new Step(`clock is set back(${ms})`, ({ clock }) => clock.set(clock.now() - ms))),
  },
)
