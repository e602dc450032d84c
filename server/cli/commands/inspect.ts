import { Option } from 'commander'
import { asDuration, asLimit } from '../arguments.ts'
import type { Cli } from '../command.ts'

/** To look at the database. */
export function registerInspect(cli: Cli): void {
  cli.group('Looking')
  cli
    .command('verify', 'check that rows, channels and change log agree')
    .action(cli.onDatabase(async (job) => (await import('../verify.ts')).verify(job)))
  cli
    .command('health', 'what the database says of itself, measured now: modules, performance, upkeep, targets')
    .action(cli.onDatabase(async ({ database, console }) => (await import('../inspect.ts')).health(database, console)))
  cli
    .command('check', 'look for references to nothing, wrong counters and rows that wait for their month')
    .action(cli.onDatabase(async ({ database, console }) => (await import('../inspect.ts')).check(database, console)))
  cli
    .command('queries', 'the slowest statements, indexes nobody uses, and what is large')
    .addOption(
      new Option('--since <duration>', 'of how long: 90s, 15m, 1h, 7d').argParser(asDuration).default(3600, '1h'),
    )
    .option('--limit <n>', 'how many of each', asLimit, 20)
    .action(
      cli.onDatabase<{ since: number; limit: number }>(async ({ database, console }, options) =>
        (await import('../inspect.ts')).queries(database, options, console),
      ),
    )
}
