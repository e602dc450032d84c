import { asMoney, asMonth, asTime } from '../arguments.ts'
import type { Cli } from '../command.ts'
import type { BillOptions, NewPrice } from '../costs.ts'

/** What models cost, and what organizations are charged. */
export function registerCosts(cli: Cli): void {
  cli.group('Costs and credentials')
  const prices = cli
    .command('prices', 'list what models cost, in US dollars for a million tokens')
    .action(
      cli.onDatabase(async ({ database, console }) => (await import('../costs.ts')).listPrices(database, console)),
    )
  cli
    .command('add', 'add a price; usage that waited for it gets its cost', prices)
    .requiredOption('--provider <name>', 'openrouter, openai, …')
    .requiredOption('--model <name>', 'as usage names it')
    .requiredOption('--input <usd>', 'for a million input tokens', asMoney)
    .requiredOption('--output <usd>', 'for a million output tokens', asMoney)
    .option('--cached <usd>', 'for a million input tokens that were cached', asMoney)
    .option(
      '--from <time>',
      'in force from then on: 2026-11-01, 2026-11-01T12:00:00Z (default now; the first price of a model: its oldest usage)',
      asTime,
    )
    .option('--org <slug>', 'for this organization alone')
    .action(
      cli.onDatabase<NewPrice>(async ({ database, console }, options) =>
        (await import('../costs.ts')).addPrice(database, options, console),
      ),
    )
  cli
    .command('bill', 'charge an organization for a month: its usage and a markup; done again, for what came since')
    .requiredOption('--month <month>', 'as 2026-10', asMonth)
    .option('--markup <part>', 'of the cost: 0.2 for 20 %', asMoney, 0)
    .option('--org <slug>', 'which, when there are several')
    .option('--dry-run', 'only say what would be charged')
    .action(
      cli.onDatabase<BillOptions>(async ({ database, console }, options) =>
        (await import('../costs.ts')).bill(database, options, console),
      ),
    )
}
