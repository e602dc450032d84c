import { Migration } from '@mikro-orm/migrations'
import { bill as formerBill } from './Migration20261122164000_repricing.ts'

/** Usage that arrives after its month was charged is charged by further rows, so that the charges of a month stay its usage and a markup. */
export class Migration20261122172300_late_usage extends Migration {
  override up(): void {
    this.addSql(bill)
  }

  override down(): void {
    this.addSql(formerBill)
  }
}

/**
 * Charges what of a period was not charged yet, one row per user, project, provider and model; a row that adds to one of before names it
 * in `reverses_id`, as one that takes back does. Run again, it changes nothing. Returns how many rows it made. Refused: a period that has not ended, since
 * its usage is still coming; usage without a cost, since it would be given away; and less usage than was charged, since it was
 * summed up by retention and what came late cannot be told from it.
 */
const bill = `
create or replace function sync.bill(organization uuid, first_day date, end_day date, markup_ratio numeric) returns bigint language plpgsql as $$
declare
  first_moment timestamptz := first_day::timestamp at time zone 'UTC';
  end_moment timestamptz := end_day::timestamp at time zone 'UTC';
  unpriced bigint;
  made bigint;
  gone bigint;
begin
  if end_moment > now() then
    raise exception 'The period from % to % has not ended.', first_day, end_day
      using errcode = 'check_violation', hint = format('Charge it from %s (UTC) on.', end_day), table = 'billing_records', column = 'period_end';
  end if;
  -- Two at once would both charge the difference.
  perform from public.organizations where id = organization for no key update;
  select count(*) into unpriced from public.token_usages
  where organization_id = organization and occurred_at >= first_moment and occurred_at < end_moment and cost_usd is null;
  if unpriced > 0 then
    raise exception '% usages from % to % have no cost.', unpriced, first_day, end_day
      using errcode = 'check_violation', table = 'token_usages', column = 'cost_usd',
        hint = 'Add the missing prices with \`npx tidewire prices add\`; the log and error_logs name the models.';
  end if;
  with parts as (
    select user_id, project_id, provider, model, input_tokens as input, output_tokens as output, cost_usd as cost, true as used, null::uuid as first
    from public.token_usages
    where organization_id = organization and occurred_at >= first_moment and occurred_at < end_moment
    union all
    select user_id, project_id, provider, model, -input_tokens, -output_tokens, -usage_cost, false, case when reverses_id is null then id end
    from public.billing_records where organization_id = organization and period_start = first_day
  ), late as (
    select user_id, project_id, provider, model, sum(input) as input, sum(output) as output, sum(cost) as cost,
      (array_agg(first) filter (where first is not null))[1] as first
    from parts group by user_id, project_id, provider, model
    having bool_or(used) and (sum(input) <> 0 or sum(output) <> 0 or sum(cost) <> 0)
  ), charged as (
    insert into public.billing_records (
      organization_id, user_id, project_id, period_start, period_end, provider, model, input_tokens, output_tokens, usage_cost, markup, reverses_id
    )
    select organization, user_id, project_id, first_day, end_day, provider, model, input, output, cost, round(cost * markup_ratio, 8), first
    from late
    returning least(input_tokens, output_tokens, usage_cost) as smallest
  )
  select count(*), count(*) filter (where smallest < 0) into made, gone from charged;
  if gone > 0 then
    raise exception 'Of the usage from % to % less is there than was charged.', first_day, end_day
      using errcode = 'check_violation', table = 'billing_records', column = 'usage_cost',
        hint = 'Its detail was summed up by retention. Charge what came late by a row of billing_records.';
  end if;
  return made;
end $$`
