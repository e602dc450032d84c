import { Migration } from '@mikro-orm/migrations'

/**
 * A price that comes after the usage it is for fills the gap: at once up to a bound, the rest by a job of the server. And what an
 * estimate came to counts all that belongs to its subject, and again when a cost is known that was not.
 */
export class Migration20261122164000_repricing extends Migration {
  override up(): void {
    this.addSql(
      'create index token_usages_provider_model_occurred_at_idx on token_usages (provider, model, occurred_at) where cost_usd is null',
    )
    this.addSql('drop function sync.reprice_usage(timestamptz, timestamptz)')
    for (const statement of [actualCost, computeActualCost, repriceUsage, fillGap, bill]) this.addSql(statement)
    this.addSql('create trigger y_fill_gap after insert on model_prices for each row execute function sync.fill_gap()')
  }

  override down(): void {
    this.addSql('drop trigger y_fill_gap on model_prices')
    this.addSql('drop function sync.fill_gap()')
    this.addSql('drop function sync.reprice_usage(integer, uuid)')
    for (const statement of [formerRepriceUsage, formerComputeActualCost, formerBill]) this.addSql(statement)
    this.addSql('drop function sync.actual_cost(cost_estimates)')
    this.addSql('drop index token_usages_provider_model_occurred_at_idx')
  }
}

/**
 * What the subject of an estimate has cost: a task with all below it, a step with its tasks, a phase with its steps, a plan with its phases
 * and its tasks. Of a whole project also what is summed up by day already; the sums do not tell tasks apart.
 */
export const actualCost = `
create function sync.actual_cost(estimate public.cost_estimates) returns numeric language plpgsql stable as $$
declare
  steps uuid[];
  inside uuid[];
begin
  if num_nonnulls(estimate.plan_id, estimate.phase_id, estimate.macro_step_id, estimate.task_id) = 0 then
    return (
      select sum(cost) from (
        select sum(cost_usd) as cost from public.token_usages where project_id = estimate.project_id
        union all
        select sum(cost_usd) from public.token_usage_daily where project_id = estimate.project_id
      ) parts
    );
  end if;
  steps := array(
    select s.id from public.macro_steps s join public.phases p on p.id = s.phase_id
    where case
      when estimate.task_id is not null then false
      when estimate.macro_step_id is not null then s.id = estimate.macro_step_id
      when estimate.phase_id is not null then p.id = estimate.phase_id
      else p.plan_id = estimate.plan_id end
  );
  inside := array(
    with recursive below as (
      select t.id from public.tasks t
      where case
        when estimate.task_id is not null then t.id = estimate.task_id
        else t.macro_step_id = any (steps)
          or num_nonnulls(estimate.phase_id, estimate.macro_step_id) = 0 and t.plan_id = estimate.plan_id end
      union
      select t.id from public.tasks t join below b on t.parent_task_id = b.id
    )
    select id from below
  );
  return (
    select sum(u.cost_usd) from public.token_usages u
    where u.macro_step_id = any (steps) or u.task_id = any (inside)
      or u.task_run_id = any (array(select r.id from public.task_runs r where r.task_id = any (inside)))
  );
end $$`

/** What was closed once is never worth less later, when the detail has been summed up. */
const computeActualCost = `
create or replace function sync.compute_actual_cost() returns trigger language plpgsql as $$
begin
  new.actual_cost := sync.actual_cost(new);
  if tg_op = 'UPDATE' and old.status = 'closed' then
    new.actual_cost := greatest(new.actual_cost, old.actual_cost);
  end if;
  return new;
end $$`

/**
 * Prices usage that has no cost though there is a price for it: at most so many rows, of one price or of all. Closed estimates of the
 * projects concerned are worked out anew. Returns how many rows it priced; fewer than asked for: no more are left.
 */
const repriceUsage = `
create function sync.reprice_usage(most integer default 10000, of_price uuid default null) returns bigint language plpgsql as $$
declare
  projects uuid[];
  priced bigint;
begin
  with gaps as (
    select distinct u.id, u.occurred_at
    from public.model_prices p join public.token_usages u
      on u.cost_usd is null and u.provider = p.provider and u.model = p.model and u.occurred_at >= p.effective_from
      and (p.effective_to is null or u.occurred_at < p.effective_to) and (p.organization_id is null or p.organization_id = u.organization_id)
    where of_price is null or p.id = of_price
    limit most
  ), done as (
    update public.token_usages u set (model_price_id, cost_usd) = (
      select p.id, sync.usage_cost(p, u.input_tokens, u.cached_input_tokens, u.output_tokens)
      from sync.price_at(u.organization_id, u.provider, u.model, u.occurred_at) p
    )
    from gaps g where u.id = g.id and u.occurred_at = g.occurred_at
    returning u.project_id
  )
  select count(*), array_agg(distinct project_id) filter (where project_id is not null) into priced, projects from done;
  -- Its trigger does the work.
  update public.cost_estimates set actual_cost = actual_cost where status = 'closed' and project_id = any (projects);
  return priced;
end $$`

/** In the transaction of the price; what is more than that waits for the server's job. */
const fillGap = `
create function sync.fill_gap() returns trigger language plpgsql as $$
begin
  perform sync.reprice_usage(10000, new.id);
  return null;
end $$`

const billBody = (hint: string): string => `
create or replace function sync.bill(organization uuid, first_day date, end_day date, markup_ratio numeric) returns bigint language plpgsql as $$
declare
  unpriced bigint;
  made bigint;
begin
  select count(*) into unpriced from public.token_usages
  where organization_id = organization and occurred_at >= first_day at time zone 'UTC' and occurred_at < end_day at time zone 'UTC' and cost_usd is null;
  if unpriced > 0 then
    raise exception '% usages from % to % have no cost.', unpriced, first_day, end_day
      using errcode = 'check_violation', hint = '${hint}', table = 'token_usages', column = 'cost_usd';
  end if;
  insert into public.billing_records (organization_id, user_id, project_id, period_start, period_end, provider, model, input_tokens, output_tokens, usage_cost, markup)
  select organization, user_id, project_id, first_day, end_day, provider, model, sum(input_tokens), sum(output_tokens), sum(cost_usd), round(sum(cost_usd) * markup_ratio, 8)
  from public.token_usages
  where organization_id = organization and occurred_at >= first_day at time zone 'UTC' and occurred_at < end_day at time zone 'UTC'
  group by user_id, project_id, provider, model
  on conflict (organization_id, user_id, project_id, period_start, provider, model) where reverses_id is null do nothing;
  get diagnostics made = row_count;
  return made;
end $$`

export const bill = billBody('Add the missing prices with \`npx tidewire prices add\`.')
const formerBill = billBody('Add the missing prices and run sync.reprice_usage.')

const formerRepriceUsage = `
create function sync.reprice_usage(since timestamptz, until timestamptz) returns bigint language plpgsql as $$
declare
  priced bigint;
begin
  with found as (
    select u.id, u.occurred_at, p as price
    from public.token_usages u, lateral (select sync.price_at(u.organization_id, u.provider, u.model, u.occurred_at) as p) at
    where u.cost_usd is null and u.occurred_at >= since and u.occurred_at < until
  )
  update public.token_usages u set
    model_price_id = (f.price).id, cost_usd = sync.usage_cost(f.price, u.input_tokens, u.cached_input_tokens, u.output_tokens)
  from found f where u.id = f.id and u.occurred_at = f.occurred_at and (f.price).id is not null;
  get diagnostics priced = row_count;
  return priced;
end $$`

const formerComputeActualCost = `
create or replace function sync.compute_actual_cost() returns trigger language plpgsql as $$
begin
  select sum(u.cost_usd) into new.actual_cost
  from public.token_usages u left join public.tasks t on t.id = u.task_id
    left join public.macro_steps s on s.id = coalesce(u.macro_step_id, t.macro_step_id)
  where u.project_id = new.project_id and case
    when new.task_id is not null then u.task_id = new.task_id
    when new.macro_step_id is not null then coalesce(u.macro_step_id, t.macro_step_id) = new.macro_step_id
    when new.phase_id is not null then s.phase_id = new.phase_id
    when new.plan_id is not null then t.plan_id = new.plan_id
    else true end;
  return new;
end $$`
