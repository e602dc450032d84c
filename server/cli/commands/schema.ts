import type { Cli } from '../command.ts'
import type { GenerateOptions } from '../generate.ts'

/** Tables: to make them, to take them back, to print them. */
export function registerSchema(cli: Cli): void {
  cli.group('Tables')
  cli
    .command('migrate', 'bring the schema up to date')
    .action(cli.onDatabase(async (job) => (await import('../schema.ts')).migrate(job), { create: true }))
  cli
    .command('rollback', 'revert the newest migration')
    .option('--dry-run', 'only say which one that is')
    .action(
      cli.onDatabase<{ dryRun?: boolean }>(async (job, options) =>
        (await import('../schema.ts')).rollback(job, options),
      ),
    )
  cli
    .command('consolidate', 'print all migrations as one SQL script, for a database that somebody else makes')
    .option('--out <file>', 'write it to a file instead')
    .action(cli.run<{ out?: string }>(async (job, options) => (await import('../schema.ts')).consolidate(job, options)))
  cli
    .command('generate', 'print the TypeScript module from which the SDK infers its types')
    .option('--migration <name>', 'print a migration instead, which brings the database to the tables of --app')
    .option('--out <file>', 'write it to a file instead')
    .action(cli.run<GenerateOptions>(async (job, options) => (await import('../generate.ts')).generate(job, options)))
}
