import type { BoxRef, Driver, ResolvedBoxSpec } from '../../driver.js'

/** What `describeDriver` needs of a test runner; those of vitest and of `node:test` fit. */
export interface TestRunner {
  describe(name: string, body: () => void): unknown
  /** A test may take half a minute with a slow engine: give the runner that time. */
  it(name: string, body: (context: TestContext) => Promise<void>): unknown
}

export interface TestContext {
  skip(reason?: string): unknown
}

/** A driver to be tested, and what the suite cannot know of its engine. A fresh one is made for each test. */
export interface DriverSubject {
  /** Not open yet. */
  readonly driver: Driver
  /** Another driver of the same engine, such as the next process of a gateway has. */
  another(): Driver
  /** An empty folder of this machine, which the engine can reach. */
  readonly dataDir: string
  readonly boxes: SubjectBoxes
  readonly commands: SubjectCommands
  /** Ends a running box as a crash would, past the driver. */
  crash(ref: BoxRef): Promise<void>
  /** Makes a box of this name that is nobody's. @default the engine has no boxes but the driver's: not tested */
  plant?: ((name: string) => Promise<{ exists(): Promise<boolean>; remove(): Promise<void> }>) | undefined
  /** Lets go of what this subject took. The suite has removed its boxes and closed its drivers by then. */
  cleanup(): Promise<void>
}

/** Specs of boxes that behave in a known way; `nodeFixture` makes them for an image with node and a shell. */
export interface SubjectBoxes {
  /**
   * An agent that keeps the contract, and: says `ready` on stdout and `note` on stderr when it starts; says on stdout
   * what follows `/say/` in the path of a request; ends by itself, at once, with SIGTERM.
   */
  readonly agent: ResolvedBoxSpec
  /** The same, but takes no notice of SIGTERM. */
  readonly stubborn: ResolvedBoxSpec
  /** Exits with 3 as soon as it was started. */
  readonly shortLived: ResolvedBoxSpec
  /** Its command does not exist. */
  readonly withoutCommand: ResolvedBoxSpec
  /** Its image does not exist and cannot be pulled. @default the engine has no images: not tested */
  readonly withoutImage?: ResolvedBoxSpec | undefined
}

/** Commands that the agent's box can run. */
export interface SubjectCommands {
  /** Says what it reads, until the end of its input. */
  readonly cat: readonly string[]
  /** Says `out` and a line feed on stdout, `err` and a line feed on stderr, and exits with 5. */
  readonly fail: readonly string[]
  /** Says its environment's GREETING and its working directory, each with a line feed. */
  readonly where: readonly string[]
  /** Says 1,000,000 bytes. */
  readonly flood: readonly string[]
  /** Runs for minutes. */
  readonly sleep: readonly string[]
  /** Makes a file named `kept` in the workspace. */
  readonly keep: readonly string[]
  readonly missing: readonly string[]
}
