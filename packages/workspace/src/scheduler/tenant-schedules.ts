import { constants } from 'node:fs'
import { openRegular } from '../beneath.js'
import { isWorkspaceError, systemFailure } from '../errors.js'
import { type Problem, ProblemReport } from '../problem.js'
import { parseSchedules } from '../schedule-check.js'
import { SCHEDULES_FILE, SCHEDULES_LIMIT, type ValidSchedule, validSchedules } from '../schedules.js'

/**
 * The schedules of a tenant's file; undefined when the file cannot be used at all, which is reported: then what
 * was read before stays in force.
 */
export async function readSchedules(
  directory: string,
  limit: number,
  onProblem: (problem: Problem) => void,
): Promise<readonly ValidSchedule[] | undefined> {
  const report = new ProblemReport(onProblem)
  const problem = (message: string) => report.add({ file: SCHEDULES_FILE, message })
  try {
    using file = openRegular(`${directory}/${SCHEDULES_FILE}`, SCHEDULES_FILE, constants.O_RDONLY)
    const raw = parseSchedules(await file.readAll(SCHEDULES_LIMIT))
    if (typeof raw === 'string') {
      problem(`The file ${raw}. Until it is corrected, what was read before stays in force.`)
      return undefined
    }
    if (raw.schedules.length > limit)
      problem(`The file has ${raw.schedules.length} schedules; those after the first ${limit} are left out.`)
    return await validSchedules({ ...raw, schedules: raw.schedules.slice(0, limit) }, problem)
  } catch (error) {
    if (isWorkspaceError(error, 'NOT_FOUND')) return []
    const failure = systemFailure(error, SCHEDULES_FILE)
    problem(`${failure.message} Until then, what was read before stays in force.`)
    return undefined
  }
}
