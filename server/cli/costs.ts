/** Commands about money: what models cost, and what organizations are charged. */
import { DatabaseError, type ClientBase } from 'pg'
import { TideError } from '../../protocol/error.ts'
import { inOneTransaction, insertRow, type Database } from '../db/db.ts'
import { systemClock } from '../../lib/clock.ts'
import { systemRandom } from '../../lib/random.ts'
import { createUuidSource } from '../../lib/uuid.ts'
import { repriceUsage } from '../maintenance/maintenance.ts'
import { table, type Console } from './console.ts'
import { findOrganization } from './find-principal.ts'

interface Price {
  readonly id: string
  readonly organization: string | null
  readonly provider: string
  readonly model: string
  readonly input: string
  readonly cachedInput: string | null
  readonly output: string
  readonly from: Date
  readonly to: Date | null
}

/** Lists the prices, those in force and those of other times, by model. */
export async function listPrices({ pool }: Database, console: Console): Promise<void> {
  const { rows } = await pool.query<Price>(
    `select p.id, o.slug as organization, p.provider, p.model, p.input_cost_per_million as input, p.cached_input_cost_per_million as "cachedInput",
       p.output_cost_per_million as output, p.effective_from as from, p.effective_to as to
     from model_prices p left join organizations o on o.id = p.organization_id
     order by p.provider, p.model, o.slug nulls first, p.effective_from limit 1000`,
  )
  const money = (amount: string | null): number | null => (amount === null ? null : Number(amount))
  const prices = rows.map((row) => ({
    ...row,
    input: money(row.input),
    cachedInput: money(row.cachedInput),
    output: money(row.output),
  }))
  console.answer(
    { prices },
    table(
      ['provider', 'model', 'input', 'cached', 'output', 'from', 'until', 'of'],
      prices.map((one) => [
        one.provider,
        one.model,
        one.input,
        one.cachedInput,
        one.output,
        one.from.toISOString(),
        one.to?.toISOString(),
        one.organization ?? 'all',
      ]),
    ),
  )
}

export interface NewPrice {
  readonly provider: string
  readonly model: string
  /** US dollars for a million tokens. */
  readonly input: number
  readonly output: number
  readonly cached?: number
  readonly from?: Date
  /** Slug of the organization that it is for; for all when absent. */
  readonly org?: string
}

/**
 * Adds a price, and gives usage that waited for it its cost. The first price of a model is in force from its oldest
 * usage without a cost on, any other from now on.
 */
export async function addPrice({ pool }: Database, price: NewPrice, console: Console): Promise<void> {
  const id = createUuidSource(systemClock, systemRandom)()
  const organization = price.org === undefined ? null : await findOrganization(pool, price.org)
  const key = [price.provider, price.model, organization]
  const from = price.from ?? (await startOfFirst(pool, key)) ?? new Date(systemClock.now())
  const added = await insertRow(pool, 'model_prices', {
    id,
    organization_id: organization,
    provider: price.provider,
    model: price.model,
    input_cost_per_million: price.input,
    output_cost_per_million: price.output,
    cached_input_cost_per_million: price.cached ?? null,
    effective_from: from,
    updated_by_label: 'tidewire prices',
  })
  if (!added)
    throw new TideError(
      'unique_violated',
      `${price.model} of ${price.provider} has a price from ${from.toISOString()} on already.`,
      { remedy: 'Give another moment with --from, or change that row.' },
    )
  await repriceUsage(pool, { triggeredBy: 'cli', onProgress: (n) => console.progress(`${n} usages priced`) })
  const { rows } = await pool.query<{ n: number }>(
    'select count(*)::integer as n from token_usages where model_price_id = $1',
    [id],
  )
  const priced = rows[0]?.n ?? 0
  const { rows: left } = await pool.query<{ n: number; oldest: Date | null }>(
    `select count(*)::integer as n, min(occurred_at) as oldest from token_usages ${unpriced}`,
    [...key],
  )
  const { n: unpricedLeft, oldest } = left[0] ?? { n: 0, oldest: null }
  console.answer(
    { id, from, priced, unpriced: unpricedLeft },
    `The price is in force from ${from.toISOString()}; ${priced} usages that waited have it.${
      oldest === null
        ? ''
        : `\n${unpricedLeft} older usages still have no cost: add a price for them with --from ${oldest.toISOString()}.`
    }`,
  )
}

/** $1 provider, $2 model, $3 organization or null. */
const unpriced =
  'where provider = $1 and model = $2 and ($3::uuid is null or organization_id = $3) and cost_usd is null'

/**
 * When the first price of a model has to begin, for no usage to be left without; null: it has a price, or no usage
 * waits.
 */
async function startOfFirst(pool: Database['pool'], key: readonly (string | null)[]): Promise<Date | null> {
  const { rows } = await pool.query<{ oldest: Date | null }>(
    `select min(occurred_at) as oldest from token_usages ${unpriced} and not exists (
       select from model_prices p where p.provider = $1 and p.model = $2 and (p.organization_id is null or p.organization_id = $3)
     )`,
    [...key],
  )
  return rows[0]?.oldest ?? null
}

export interface BillOptions {
  /** First day of the month, as `YYYY-MM-01`. */
  readonly month: string
  /** Part of the cost that is added: 0.2 for 20 %. */
  readonly markup: number
  readonly org?: string
  readonly dryRun?: boolean
}

/**
 * Charges a month, or what of it came after it was charged. With `dryRun` it is worked out in a transaction that is
 * taken back, so that it says exactly what would be charged.
 */
export async function bill({ pool }: Database, options: BillOptions, console: Console): Promise<void> {
  const { month, markup, org, dryRun = false } = options
  const organization = await findOrganization(pool, org)
  const charge = async (client: ClientBase) => {
    await client.query(`select sync.bill($1, $2::date, ($2::date + interval '1 month')::date, $3)`, [
      organization,
      month,
      markup,
    ])
    return client.query<{
      user: string | null
      project: string | null
      provider: string
      model: string
      cost: number
      markup: number
      amount: number
      status: string
    }>(
      `select u.email as user, p.slug as project, b.provider, b.model, b.usage_cost::float8 as cost, b.markup::float8, b.amount::float8, b.status
       from billing_records b left join users u on u.id = b.user_id left join projects p on p.id = b.project_id
       where b.organization_id = $1 and b.period_start = $2::date order by b.provider, b.model, p.slug, u.email, b.created_at, b.id`,
      [organization, month],
    )
  }
  const { rows } = await inOneTransaction(pool, charge, { end: dryRun ? 'rollback' : 'commit' }).catch(
    (error: unknown) => {
      throw refusalOf(error) ?? error
    },
  )
  const total = rows.reduce((sum, { amount }) => sum + amount, 0)
  const text = table(
    ['user', 'project', 'provider', 'model', 'cost', 'markup', 'amount', 'status'],
    rows.map((row) => [row.user, row.project, row.provider, row.model, row.cost, row.markup, row.amount, row.status]),
  )
  console.answer(
    { month, dryRun, total, charges: rows },
    rows.length === 0
      ? `Nothing was used in ${month.slice(0, 7)}.`
      : `${text}\n\n${total.toFixed(2)} USD ${dryRun ? 'would be charged' : 'charged'} for ${month.slice(0, 7)}.`,
  )
}

/** Why `sync.bill` makes no charges, with what to do. */
function refusalOf(error: unknown): TideError | undefined {
  if (!(error instanceof DatabaseError) || error.code !== '23514' || error.hint === undefined) return undefined
  return error.table === 'token_usages' || error.table === 'billing_records'
    ? new TideError('constraint_violated', error.message, { remedy: error.hint, cause: error })
    : undefined
}
