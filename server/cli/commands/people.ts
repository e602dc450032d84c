import { asDuration } from '../arguments.ts'
import type { Cli } from '../command.ts'
import type { PasswordOptions } from '../password.ts'
import type { TokenOptions } from '../token.ts'
import type { UserOptions } from '../user.ts'

interface InOrganization {
  readonly org?: string
}

/** People and agents: who they are, and how they come in. */
export function registerPeople(cli: Cli): void {
  cli.group('People and agents')
  cli
    .command('seed', 'make organization demo, with something of everything in it; what is there already stays as it is')
    .option(
      '--demo',
      'people, a team, agents, plans, conversations, memories, costs, a pipeline, a conflict (what is made anyway)',
    )
    .option('--dev', 'also a second organization, harbor, with a person of both')
    .action(
      cli.onDatabase<{ dev?: boolean }>(
        async (job, { dev = false }) => (await import('../seed.ts')).seed(job, dev ? 'neighbours' : 'lively'),
        { create: true },
      ),
    )
  cli
    .command('token', 'print a token for a user or an agent, alone on standard output')
    .option('--user <email>', 'whose token')
    .option('--agent <name>', 'whose token')
    .option('--org <slug>', 'in which organization, when there are several')
    .option('--ttl <duration>', 'how long it is good for: 90s, 15m, 1h, 7d (default 1h, with --access 90d)', (text) =>
      asDuration(text),
    )
    .option('--access', 'an access token, which `tokens revoke` ends')
    .option('--name <text>', 'of an access token, to tell several apart')
    .option(
      '--scope <scope...>',
      'what an access token is limited to: read, write, or names of actions (default: nothing)',
    )
    .action(cli.onDatabase<TokenOptions>(async (job, options) => (await import('../token.ts')).token(job, options)))
  for (const [what, list, description, end] of [
    ['token', 'listTokens', 'list the access tokens that are good', 'end an access token, and its open connections'],
    ['device', 'listDevices', 'list the devices', 'end a device, and its open connection'],
  ] as const) {
    const listed = cli
      .command(`${what}s`, description)
      .option('--org <slug>', 'of which organization, when there are several')
      .action(cli.onDatabase<InOrganization>(async (job, { org }) => (await import('../access.ts'))[list](job, org)))
    cli
      .command('revoke <id>', end, listed)
      .action(
        cli.onDatabase<object, [string]>(async (job, _, id) => (await import('../access.ts')).revoke(job, what, id)),
      )
  }
  cli
    .command('password', 'set the password of a user, read from standard input, and end their sessions')
    .requiredOption('--user <email>', 'whose password')
    .option('--must-change', 'it has to be changed after the next sign-in')
    .action(
      cli.onDatabase<PasswordOptions>(async (job, options) =>
        (await import('../password.ts')).setPassword(job, options),
      ),
    )
  const user = cli.command('user', 'people who leave: deactivate, anonymise')
  for (const [job, description] of [
    ['deactivate', 'end all that somebody can do, and hand on what they own'],
    ['anonymise', 'deactivate somebody, and take out of the database who they were; it cannot be undone'],
  ] as const)
    cli
      .command(job, description, user)
      .requiredOption('--user <email>', 'who')
      .option('--transfer-to <email>', 'who gets their projects, teams and agents (default: another owner or admin)')
      .option('--dry-run', 'only say what would change')
      .action(
        cli.onDatabase<UserOptions>(async ({ database, console }, options) =>
          (await import('../user.ts')).leave(database, job, options, console),
        ),
      )
}
