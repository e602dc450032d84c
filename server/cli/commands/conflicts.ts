import { Option } from 'commander'
import type { Cli } from '../command.ts'
import type { ResolveOptions } from '../conflicts.ts'

export function registerConflicts(cli: Cli): void {
  const conflicts = cli
    .command('conflicts', 'list open conflicts')
    .action(
      cli.onDatabase(async ({ database, console }) =>
        (await import('../conflicts.ts')).listConflicts(database, console),
      ),
    )
  cli
    .command(
      'resolve <id>',
      'settle one, as its owner would; an owner or admin does where that one has left',
      conflicts,
    )
    .addOption(new Option('--take <side>', 'whose values stand').choices(['client', 'server']).makeOptionMandatory())
    .option('--as <email>', 'who settles it')
    .action(
      cli.onDatabase<ResolveOptions, [string]>(async (job, options, id) =>
        (await import('../conflicts.ts')).resolveConflict(job, id, options),
      ),
    )
}
