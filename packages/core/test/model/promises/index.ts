import { adoption } from './adoption.js'
import { callbacks } from './callbacks.js'
import { engineLoss } from './engine-loss.js'
import { leased } from './leased.js'
import { neverMixed } from './never-mixed.js'
import { nothingLeft } from './nothing-left.js'
import { oneBox } from './one-box.js'
import { oneOwner } from './one-owner.js'
import type { KeptPromise } from './promise.js'
import { strangers } from './strangers.js'
import { transitions } from './transitions.js'

/** The ten of them, in the order of docs/testing.md. */
export const PROMISES: readonly KeptPromise[] = [
  oneBox,
  neverMixed,
  leased,
  transitions,
  strangers,
  adoption,
  oneOwner,
  engineLoss,
  callbacks,
  nothingLeft,
]
