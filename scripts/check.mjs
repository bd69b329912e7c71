// Every check of the project, one after the other: what fails is told at the end, not only the first of it. Words after
// the command choose checks by their names.
import { main } from './check/main.mjs'

process.exitCode = await main()
