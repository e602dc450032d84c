import { Argument } from 'commander'
import { asDays } from '../arguments.ts'
import type { Cli } from '../command.ts'
import type { RetentionCommandOptions } from '../retention.ts'
import { upkeepJobs, type UpkeepJob } from '../upkeep-jobs.ts'

/** What the server does by itself from time to time, done now. */
export function registerUpkeep(cli: Cli): void {
  cli.group('Upkeep')
  cli
    .command('analytics', 'work the analytics out anew, as every 15 minutes')
    .option('--only <names...>', 'these alone: cost_daily, project_overview, …')
    .action(
      cli.onDatabase<{ only?: string[] }>(async ({ database, console }, options) =>
        (await import('../inspect.ts')).analytics(database, options, console),
      ),
    )
  cli
    .command('retention', 'delete what has outlived its retention policy, as every night')
    .option('--dry-run', 'only count what would go')
    .option('--days <n>', 'keep integration events and system metrics for so many days', asDays)
    .action(
      cli.onDatabase<RetentionCommandOptions>(async (job, options) =>
        (await import('../retention.ts')).retention(job, options),
      ),
    )
  cli
    .command('run', 'do a job of upkeep now, which the server does by itself otherwise')
    .addArgument(new Argument('<job>', 'which').choices(Object.keys(upkeepJobs)))
    .option('--dry-run', 'only say what it would change')
    .addHelpText(
      'after',
      `\nJobs:\n${Object.entries(upkeepJobs)
        .map(([job, does]) => `  ${job.padEnd(14)}${does}`)
        .join('\n')}`,
    )
    .action(
      cli.onDatabase<{ dryRun?: boolean }, [UpkeepJob]>(async ({ database, console }, options, job) =>
        (await import('../upkeep.ts')).runJob(database, job, options, console),
      ),
    )
}
