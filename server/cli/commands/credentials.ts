import { Option } from 'commander'
import { credentialKinds } from '../../credentials/credential-kinds.ts'
import { asSpendLimit, asTime } from '../arguments.ts'
import type { Cli } from '../command.ts'
import type { CredentialOptions } from '../credentials.ts'

interface InOrganization {
  readonly org?: string
}

/** Secrets of third parties. */
export function registerCredentials(cli: Cli): void {
  const credentials = cli
    .command('credentials', 'list the stored secrets of third parties, without the secrets')
    .option('--org <slug>', 'of which organization, when there are several')
    .action(
      cli.onDatabase<InOrganization>(async ({ database, config, console }, { org }) =>
        (await import('../credentials.ts')).listCredentials(database, config, org, console),
      ),
    )
  cli
    .command('set', 'store a secret, read from standard input', credentials)
    .requiredOption('--provider <name>', 'whose service: openrouter, github, …')
    .addOption(new Option('--kind <kind>', 'what it is').choices(credentialKinds).default('api_key'))
    .option('--label <text>', 'to tell several apart', 'default')
    .option('--user <email>', 'of this user, not of the organization')
    .option('--expires <time>', 'when it ends: 2026-11-01, 2026-11-01T12:00:00Z', asTime)
    .option('--refresh', 'a second line of standard input is its refresh token')
    .option('--account <name>', 'whose it is at the service; of an application of OAuth: its client id')
    .option(
      '--token-url <url>',
      'of an application of OAuth: where its tokens are renewed (default: github.com, linear.app)',
    )
    .action(
      cli.onDatabase<CredentialOptions>(async ({ database, config, console }, options) =>
        (await import('../credentials.ts')).setCredential(database, config, options, console),
      ),
    )
  cli
    .command('limit <id>', 'say what the usage of a credential may cost in a month', credentials)
    .requiredOption('--usd <amount>', 'US dollars, or none', asSpendLimit)
    .action(
      cli.onDatabase<InOrganization & { readonly usd: number | null }, [string]>(
        async ({ database, config, console }, { org, usd }, id) =>
          (await import('../credentials.ts')).limitCredential(database, config, { id, usd, org }, console),
      ),
    )
  cli
    .command('revoke <id>', 'end a credential and destroy its secret', credentials)
    .action(
      cli.onDatabase<InOrganization, [string]>(async ({ database, config, console }, { org }, id) =>
        (await import('../credentials.ts')).revokeCredential(database, config, { id, org }, console),
      ),
    )
  cli
    .command('rotate', 'encrypt all secrets anew with the first of ENCRYPTION_KEYS', credentials)
    .action(
      cli.onDatabase(async ({ database, config, console }) =>
        (await import('../credentials.ts')).rotateCredentials(database, config, console),
      ),
    )
}
