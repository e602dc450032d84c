import type { Cli } from '../command.ts'

/** The server itself: to run it, and to look at it. */
export function registerServer(cli: Cli): void {
  cli.group('The server')
  cli
    .command('start', 'run the server; a fresh folder gets a database, the schema and demo data')
    .action(cli.run(async (job) => (await import('../start.ts')).start(job)))
  cli
    .command('status', 'how the running server is, and what is in the database')
    .action(cli.onDatabase(async (job) => (await import('../status.ts')).status(job)))
  cli
    .command('doctor', 'look at everything the server needs, and say how to mend what is wrong')
    .action(cli.onDatabase(async (job) => (await import('../doctor.ts')).doctor(job)))
}
