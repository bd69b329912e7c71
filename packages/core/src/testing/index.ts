export { describeDriver } from './conformance/describe-driver.js'
export { nodeFixture } from './conformance/node-fixture.js'
export type {
  DriverSubject,
  SubjectBoxes,
  SubjectCommands,
  TestContext,
  TestRunner,
} from './conformance/subject.js'
export type {
  DriverCallInfo,
  DriverOperation,
  EventRelay,
  FaultOptions,
  Faults,
  Hold,
  Interceptor,
  Moment,
} from './faults.js'
export type { MemoryBox } from './memory-box.js'
export type { MemoryDriver } from './memory-driver.js'
export { MemoryEngine, type MemoryOptions, memoryDriver } from './memory-engine.js'
export type { MemoryAgent, MemoryImage, MemoryProcess, MemoryProgram } from './memory-image.js'
export { type PendingTimer, type TestClock, testClock } from './test-clock.js'
