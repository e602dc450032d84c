/**
 * The `tidewire` command. Each command reads the settings, opens the database (through the running server's socket
 * when the embedded one is in use), does one thing, and ends with one of the exit codes of `console.ts`.
 */
import { writeFile } from 'node:fs/promises'
import { Argument, Command, CommanderError, Option } from 'commander'
import packageJson from '../../package.json' with { type: 'json' }
import { loadConfig, processEnvironment, type Config } from '../config.ts'
import { schemaHash } from '../catalog/generate.ts'
import type { Database } from '../db/db.ts'
import { credentialKinds } from '../credentials/credentials.ts'
import { asDays, asDuration, asLimit, asMoney, asMonth, asTime } from './arguments.ts'
import type { BillOptions, NewPrice } from './costs.ts'
import type { CredentialOptions } from './credentials.ts'
import type { RetentionCommandOptions } from './retention.ts'
import { createConsole, exitCodeHelp, exitCodes, reportError, type Console } from './console.ts'
import { upkeepJobs, type UpkeepJob } from './upkeep-jobs.ts'
import { useDatabase } from './use-database.ts'
import type { UserOptions } from './user.ts'

const { version } = packageJson
const defaultTtlSeconds = 3600

/** Runs one command line (without node and script) and returns its exit code. */
async function runCli(args: readonly string[], env: Readonly<Record<string, string | undefined>>): Promise<number> {
  let code: number = exitCodes.ok
  const program = createProgram(env, (ended) => {
    code = ended
  })
  try {
    await program.parseAsync([...args], { from: 'user' })
    return code
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? exitCodes.ok : exitCodes.usage
    return reportError(error, args.includes('--json'))
  }
}

interface BackupOptions {
  readonly json?: boolean
  readonly dir?: string
  readonly unencrypted?: boolean
  readonly restoreTest?: string | true
  readonly dryRun?: boolean
}
type Job = (given: { readonly config: Config; readonly console: Console }) => Promise<number | void>
type DatabaseJob = (database: Database, config: Config, console: Console) => Promise<number | void>

function createProgram(env: Readonly<Record<string, string | undefined>>, end: (code: number) => void): Command {
  const program = new Command('tidewire')
    .description('One live state for agents, devices and apps.')
    .version(version, '--version', 'print the version')
    .addHelpText('after', exitCodeHelp)
    .showHelpAfterError('(tidewire --help lists the commands)')
    .exitOverride()

  const command = (name: string, description: string): Command =>
    program
      .command(name)
      .description(description)
      .option('--json', 'answer in JSON, for programs')
      .addHelpText('after', exitCodeHelp)
  const run = (options: { readonly json?: boolean }, job: Job): Promise<void> =>
    job({ config: loadConfig(env), console: createConsole(options.json ?? false) }).then((code) =>
      end(code ?? exitCodes.ok),
    )
  const onDatabase = (options: { readonly json?: boolean }, job: DatabaseJob, create = false): Promise<void> =>
    run(options, ({ config, console }) => useDatabase(config, (database) => job(database, config, console), { create }))

  command('start', 'run the server; a fresh folder gets a database, the schema and demo data').action(
    async (options: { json?: boolean }) =>
      run(options, async ({ config, console }) => (await import('./start.ts')).start(config, console)),
  )
  command('migrate', 'bring the schema up to date').action(async (options: { json?: boolean }) =>
    onDatabase(
      options,
      async (database, config, console) => (await import('./database-commands.ts')).migrate(database, config, console),
      true,
    ),
  )
  command('rollback', 'revert the newest migration')
    .option('--dry-run', 'only say which one that is')
    .action(async (options: { json?: boolean; dryRun?: boolean }) =>
      onDatabase(options, async (database, _, console) =>
        (await import('./database-commands.ts')).rollback(database, options, console),
      ),
    )
  command('seed', 'make organization demo, with something of everything in it; what is there already stays as it is')
    .option(
      '--demo',
      'people, a team, agents, plans, conversations, memories, costs, a pipeline, a conflict (what is made anyway)',
    )
    .option('--dev', 'also a second organization, harbor, with a person of both')
    .action(async (options: { json?: boolean; dev?: boolean }) =>
      onDatabase(
        options,
        async (database, config, console) =>
          (await import('./database-commands.ts')).seed(
            database,
            config,
            options.dev === true ? 'neighbours' : 'lively',
            console,
          ),
        true,
      ),
    )
  command('token', 'print a token for a user or an agent, alone on standard output')
    .option('--user <email>', 'whose token')
    .option('--agent <name>', 'whose token')
    .option('--org <slug>', 'in which organization, when there are several')
    .option('--ttl <duration>', 'how long it is good for: 90s, 15m, 1h, 7d (default 1h)', (text: string) =>
      asDuration(text),
    )
    .action(async (options: { json?: boolean; user?: string; agent?: string; org?: string; ttl?: number }) =>
      onDatabase(options, async (database, config, console) =>
        (await import('./database-commands.ts')).token(
          database,
          config,
          options,
          options.ttl ?? defaultTtlSeconds,
          console,
        ),
      ),
    )
  command('doctor', 'look at everything the server needs, and say how to mend what is wrong').action(
    async (options: { json?: boolean }) =>
      onDatabase(options, async (database, config, console) =>
        (await import('./doctor.ts')).doctor(database, config, console),
      ),
  )
  command('status', 'how the running server is, and what is in the database').action(
    async (options: { json?: boolean }) =>
      onDatabase(options, async (database, config, console) =>
        (await import('./status.ts')).status(database, config, console),
      ),
  )
  command('verify', 'check that rows, channels and change log agree').action(async (options: { json?: boolean }) =>
    onDatabase(options, async (database, _, console) => (await import('./verify.ts')).verify(database, console)),
  )
  command('health', 'what the database says of itself, measured now: modules, performance, upkeep, targets').action(
    async (options: { json?: boolean }) =>
      onDatabase(options, async (database, _, console) => (await import('./operation.ts')).health(database, console)),
  )
  command('check', 'look for references to nothing, wrong counters and rows that wait for their month').action(
    async (options: { json?: boolean }) =>
      onDatabase(options, async (database, _, console) => (await import('./operation.ts')).check(database, console)),
  )
  command('queries', 'the slowest statements, indexes nobody uses, and what is large')
    .option('--since <duration>', 'of how long: 90s, 15m, 1h, 7d', asDuration, 3600)
    .option('--limit <n>', 'how many of each', asLimit, 20)
    .action(async (options: { json?: boolean; since: number; limit: number }) =>
      onDatabase(options, async (database, _, console) =>
        (await import('./operation.ts')).queries(database, options, console),
      ),
    )
  command('analytics', 'work the analytics out anew, as every 15 minutes')
    .option('--only <names...>', 'these alone: cost_daily, project_overview, …')
    .action(async (options: { json?: boolean; only?: string[] }) =>
      onDatabase(options, async (database, _, console) =>
        (await import('./operation.ts')).analytics(database, options, console),
      ),
    )
  command('retention', 'delete what has outlived its retention policy, as every night')
    .option('--dry-run', 'only count what would go')
    .option('--days <n>', 'keep integration events and system metrics for so many days', asDays)
    .action(async (options: RetentionCommandOptions & { json?: boolean }) =>
      onDatabase(options, async (database, config, console) =>
        (await import('./retention.ts')).retention(database, config, options, console),
      ),
    )
  command('run', 'do a job of upkeep now, which the server does by itself otherwise')
    .addArgument(new Argument('<job>', 'which').choices(Object.keys(upkeepJobs)))
    .option('--dry-run', 'only say what it would change')
    .addHelpText(
      'after',
      `\nJobs:\n${Object.entries(upkeepJobs)
        .map(([job, does]) => `  ${job.padEnd(12)}${does}`)
        .join('\n')}`,
    )
    .action(async (job: UpkeepJob, options: { json?: boolean; dryRun?: boolean }) =>
      onDatabase(options, async (database, _, console) =>
        (await import('./upkeep.ts')).runJob(database, job, options, console),
      ),
    )
  const prices = command('prices', 'list what models cost, in US dollars for a million tokens').action(
    async (options: { json?: boolean }) =>
      onDatabase(options, async (database, _, console) => (await import('./costs.ts')).listPrices(database, console)),
  )
  prices
    .command('add')
    .description('add a price; usage that waited for it gets its cost')
    .requiredOption('--provider <name>', 'openrouter, openai, …')
    .requiredOption('--model <name>', 'as usage names it')
    .requiredOption('--input <usd>', 'for a million input tokens', asMoney)
    .requiredOption('--output <usd>', 'for a million output tokens', asMoney)
    .option('--cached <usd>', 'for a million input tokens that were cached', asMoney)
    .option('--from <time>', 'in force from then on: 2026-11-01, 2026-11-01T12:00:00Z (default now)', asTime)
    .option('--org <slug>', 'for this organization alone')
    .action(async (options: NewPrice, self: Command) => {
      const json = self.optsWithGlobals<{ json?: boolean }>().json ?? false
      await onDatabase({ json }, async (database, _, console) =>
        (await import('./costs.ts')).addPrice(database, options, console),
      )
    })
  command('bill', 'charge an organization for a month: its usage and a markup; done again, for what came since')
    .requiredOption('--month <month>', 'as 2026-10', asMonth)
    .option('--markup <part>', 'of the cost: 0.2 for 20 %', asMoney, 0)
    .option('--org <slug>', 'which, when there are several')
    .option('--dry-run', 'only say what would be charged')
    .action(async (options: BillOptions & { json?: boolean }) =>
      onDatabase(options, async (database, _, console) =>
        (await import('./costs.ts')).bill(database, options, console),
      ),
    )
  command(
    'backup',
    'save the database in one encrypted file, as every night with BACKUP_DIR; or try one by restoring it beside',
  )
    .option('--dir <folder>', 'where it goes (default: BACKUP_DIR, or backups in the data folder)')
    .option('--unencrypted', 'without ENCRYPTION_KEYS')
    .option('--restore-test [file]', 'restore this file, or the newest, into a database of its own, and compare')
    .option('--dry-run', 'make none, and say which old ones would be removed')
    .action(async ({ unencrypted = false, ...options }: BackupOptions) =>
      onDatabase(options, async (database, config, console) =>
        (await import('./backup.ts')).backup(database, config, { ...options, encrypted: !unencrypted }, console),
      ),
    )
  command('restore', 'put a backup in the place of the database; no server may run')
    .argument('<file>', 'made by backup')
    .option('--replace', 'also of one that is not empty; it is kept under another name')
    .action(async (file: string, options: { json?: boolean; replace?: boolean }) =>
      run(options, async ({ config, console }) =>
        (await import('./backup.ts')).restore(file, config, options, console),
      ),
    )
  const conflicts = command('conflicts', 'list open conflicts').action(async (options: { json?: boolean }) =>
    onDatabase(options, async (database, _, console) =>
      (await import('./conflicts.ts')).listConflicts(database, console),
    ),
  )
  conflicts
    .command('resolve <id>')
    .description('settle one, as its owner would')
    .option('--json', 'answer in JSON, for programs')
    .addOption(new Option('--take <side>', 'whose values stand').choices(['client', 'server']).makeOptionMandatory())
    .action(async (id: string, options: { json?: boolean; take: 'client' | 'server' }, self: Command) => {
      const json = self.optsWithGlobals<{ json?: boolean }>().json ?? false
      await onDatabase({ json }, async (database, config, console) =>
        (await import('./conflicts.ts')).resolveConflict(database, config, id, options.take, console),
      )
    })
  command('password', 'set the password of a user, read from standard input, and end their sessions')
    .requiredOption('--user <email>', 'whose password')
    .option('--must-change', 'it has to be changed after the next sign-in')
    .action(async (options: { json?: boolean; user: string; mustChange?: boolean }) =>
      onDatabase(options, async (database, config, console) =>
        (await import('./password.ts')).setPassword(database, config, options, console),
      ),
    )
  const user = command('user', 'people who leave: deactivate, anonymise')
  for (const [job, description] of [
    ['deactivate', 'end all that somebody can do, and hand on what they own'],
    ['anonymise', 'deactivate somebody, and take out of the database who they were; it cannot be undone'],
  ] as const)
    user
      .command(job)
      .description(description)
      .requiredOption('--user <email>', 'who')
      .option('--transfer-to <email>', 'who gets their projects, teams and agents (default: another owner or admin)')
      .option('--dry-run', 'only say what would change')
      .action(async (options: UserOptions, self: Command) => {
        const json = self.optsWithGlobals<{ json?: boolean }>().json ?? false
        await onDatabase({ json }, async (database, _, console) =>
          (await import('./user.ts')).leave(database, job, options, console),
        )
      })
  const credentials = command('credentials', 'list the stored secrets of third parties, without the secrets')
    .option('--org <slug>', 'of which organization, when there are several')
    .action(async (options: { json?: boolean; org?: string }) =>
      onDatabase(options, async (database, config, console) =>
        (await import('./credentials.ts')).listCredentials(database, config, options.org, console),
      ),
    )
  const onCredentials = (
    self: Command,
    job: (given: { org?: string }, ...rest: Parameters<DatabaseJob>) => ReturnType<DatabaseJob>,
  ): Promise<void> => {
    const given = self.optsWithGlobals<{ json?: boolean; org?: string }>()
    return onDatabase(given, async (...rest) => job(given, ...rest))
  }
  credentials
    .command('set')
    .description('store a secret, read from standard input')
    .requiredOption('--provider <name>', 'whose service: openrouter, github, …')
    .addOption(new Option('--kind <kind>', 'what it is').choices(credentialKinds).default('api_key'))
    .option('--label <text>', 'to tell several apart', 'default')
    .option('--user <email>', 'of this user, not of the organization')
    .action(async (options: CredentialOptions, self: Command) =>
      onCredentials(self, async ({ org }, database, config, console) =>
        (await import('./credentials.ts')).setCredential(
          database,
          config,
          { ...options, ...(org === undefined ? {} : { org }) },
          console,
        ),
      ),
    )
  credentials
    .command('revoke <id>')
    .description('end a credential and destroy its secret')
    .action(async (id: string, _: unknown, self: Command) =>
      onCredentials(self, async ({ org }, database, config, console) =>
        (await import('./credentials.ts')).revokeCredential(database, config, { id, org }, console),
      ),
    )
  credentials
    .command('rotate')
    .description('encrypt all secrets anew with the first of ENCRYPTION_KEYS')
    .action(async (_: unknown, self: Command) =>
      onCredentials(self, async (_given, database, config, console) =>
        (await import('./credentials.ts')).rotateCredentials(database, config, console),
      ),
    )
  command('consolidate', 'print all migrations as one SQL script, for a database that somebody else makes')
    .option('--out <file>', 'write it to a file instead')
    .action(async (options: { json?: boolean; out?: string }) => {
      const { sql, migrations } = await (await import('../db/db.ts')).consolidateMigrations()
      if (options.out !== undefined) await writeFile(options.out, sql)
      createConsole(options.json ?? false).answer(
        { migrations, ...(options.out === undefined ? { sql } : { out: options.out }) },
        options.out === undefined ? sql : `Wrote ${migrations.length} migrations to ${options.out}.`,
      )
    })
  command('generate', 'print the TypeScript module from which the SDK infers its types')
    .option('--out <file>', 'write it to a file instead')
    .action(async (options: { json?: boolean; out?: string }) => {
      await generate(createConsole(options.json ?? false), options.out, loadConfig(env).embedding.dimension)
    })
  return program
}

/** Needs no database: the entities are the schema. */
async function generate(console: Console, out: string | undefined, embeddingDimension: number): Promise<void> {
  const [{ loadCatalog }, { generateSchemaModule }] = await Promise.all([
    import('../catalog/catalog.ts'),
    import('../catalog/generate.ts'),
  ])
  const { schema } = loadCatalog(undefined, { embeddingDimension })
  const module = generateSchemaModule(schema)
  if (out !== undefined) await writeFile(out, module)
  console.answer(
    { tables: Object.keys(schema).length, hash: schemaHash(schema), ...(out === undefined ? { module } : { out }) },
    out === undefined ? module : `Wrote ${Object.keys(schema).length} tables to ${out}.`,
  )
}

process.exitCode = await runCli(process.argv.slice(2), processEnvironment())
// Handles of libraries must not keep a finished command alive.
if (process.argv[2] !== 'start' || process.exitCode !== 0) process.stdout.write('', () => process.exit())
