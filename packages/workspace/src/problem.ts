/** Something in a tenant's file that could not be used and was passed over. */
export interface Problem {
  /** Path below the workspace. */
  file: string
  /** Counted from 1, where known. */
  line?: number
  /** Byte in the file at which it begins, where known. */
  offset?: number
  message: string
}

export type OnProblem = (problem: Problem) => void

const MAX_REPORTED = 20

/**
 * Hands on what one operation comes across, up to a limit: a file of ten million bad lines is one problem, not ten
 * million.
 */
export class ProblemReport {
  readonly #onProblem: OnProblem
  #count = 0

  constructor(onProblem: OnProblem) {
    this.#onProblem = onProblem
  }

  add(problem: Problem): void {
    this.#count++
    if (this.#count < MAX_REPORTED) this.#onProblem(problem)
    else if (this.#count === MAX_REPORTED)
      this.#onProblem({
        ...problem,
        message: `${problem.message} (further problems of this kind are not reported)`,
      })
  }
}
