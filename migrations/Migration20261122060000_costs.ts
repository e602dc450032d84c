import { Migration } from '@mikro-orm/migrations'

/**
 * Costs: what each usage cost at the price in force when it happened, what an estimate turned out to be, and charges.
 * In SQL, so that usage that arrives by any way has its price, and a price that comes later fills the gaps.
 */
export class Migration20261122060000_costs extends Migration {
  override up(): void {
    for (const statement of [
      priceAt,
      usageCost,
      computeUsageCost,
      repriceUsage,
      computeActualCost,
      bill,
      refuseCharge,
      ...triggers,
    ])
      this.addSql(statement)
  }

  override down(): void {
    this.addSql('drop trigger a_cost_computed on token_usages')
    this.addSql('drop trigger a_actual_computed on cost_estimates')
    this.addSql('drop trigger a_issued on billing_records')
    for (const name of [
      'refuse_charge_change()',
      'bill(uuid, date, date, numeric)',
      'compute_actual_cost()',
      'reprice_usage(timestamptz, timestamptz)',
      'compute_usage_cost()',
      'usage_cost(model_prices, bigint, bigint, bigint)',
      'price_at(uuid, text, text, timestamptz)',
    ])
      this.addSql(`drop function sync.${name}`)
  }
}

/** The price in force: an organization's own before the shipped one, then the newest. Null: the model has none. */
const priceAt = `
create function sync.price_at(organization uuid, of_provider text, of_model text, moment timestamptz)
returns public.model_prices language sql stable as $$
  select p from public.model_prices p
  where p.model = of_model and p.provider = of_provider and (p.organization_id = organization or p.organization_id is null)
    and p.effective_from <= moment and (p.effective_to is null or p.effective_to > moment)
  order by p.organization_id is null, p.effective_from desc limit 1
$$`

/** Cached tokens are part of the input tokens, and cost as much where they have no price of their own. */
const usageCost = `
create function sync.usage_cost(price public.model_prices, input bigint, cached bigint, output bigint)
returns numeric language sql immutable as $$
  select round((
    greatest(input - cached, 0) * price.input_cost_per_million
    + least(cached, input) * coalesce(price.cached_input_cost_per_million, price.input_cost_per_million)
    + output * price.output_cost_per_million
  ) / 1000000, 8)
$$`

/** Usage of an unknown model costs NULL, never 0, and is warned of once per model and day. */
const computeUsageCost = `
create function sync.compute_usage_cost() returns trigger language plpgsql as $$
declare
  price public.model_prices := sync.price_at(new.organization_id, new.provider, new.model, new.occurred_at);
begin
  new.model_price_id := price.id;
  new.cost_usd := sync.usage_cost(price, new.input_tokens, new.cached_input_tokens, new.output_tokens);
  if price.id is null and not exists (
    select from public.error_logs e
    where e.fingerprint = 'price_missing:' || new.provider || ':' || new.model and e.organization_id = new.organization_id
      and e.occurred_at >= date_trunc('day', now())
  ) then
    insert into public.error_logs (organization_id, code, category, severity, message, fingerprint, context)
    values (new.organization_id, 404, 'costs', 'warning', format('Model %s of %s has no price; its usage has no cost until it gets one.', new.model, new.provider),
      'price_missing:' || new.provider || ':' || new.model, jsonb_build_object('provider', new.provider, 'model', new.model));
  end if;
  return new;
end $$`

/** Prices the usage of a time that has no cost yet. Returns how many rows. */
const repriceUsage = `
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

/** A closed estimate says what its subject has cost: of a step with its tasks, of a phase or plan with what is in it. */
const computeActualCost = `
create function sync.compute_actual_cost() returns trigger language plpgsql as $$
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

/**
 * Charges an organization for a period, one row per user, project, provider and model: what the usage cost, and a markup of so
 * much of it. Run again, it changes nothing. Returns how many rows it made. Usage without a cost is refused: it would be given away.
 */
const bill = `
create function sync.bill(organization uuid, first_day date, end_day date, markup_ratio numeric) returns bigint language plpgsql as $$
declare
  unpriced bigint;
  made bigint;
begin
  select count(*) into unpriced from public.token_usages
  where organization_id = organization and occurred_at >= first_day at time zone 'UTC' and occurred_at < end_day at time zone 'UTC' and cost_usd is null;
  if unpriced > 0 then
    raise exception '% usages from % to % have no cost.', unpriced, first_day, end_day
      using errcode = 'check_violation', hint = 'Add the missing prices and run sync.reprice_usage.', table = 'token_usages', column = 'cost_usd';
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

/** A charge stays as it was made; a wrong one is corrected by a row that reverses it. */
const refuseCharge = `
create function sync.refuse_charge_change() returns trigger language plpgsql as $$
begin
  raise exception 'Charge % cannot be changed.', old.id
    using errcode = 'check_violation', hint = 'Insert a row that reverses it.', table = 'billing_records', constraint = 'billing_records_issued';
end $$`

const triggers = [
  `create trigger a_cost_computed before insert on token_usages for each row execute function sync.compute_usage_cost()`,
  `create trigger a_actual_computed before insert or update on cost_estimates for each row
    when (new.status = 'closed') execute function sync.compute_actual_cost()`,
  `create trigger a_issued before update on billing_records for each row
    when ((old.organization_id, old.user_id, old.project_id, old.period_start, old.period_end, old.provider, old.model, old.input_tokens, old.output_tokens, old.usage_cost, old.markup, old.currency, old.reverses_id)
      is distinct from (new.organization_id, new.user_id, new.project_id, new.period_start, new.period_end, new.provider, new.model, new.input_tokens, new.output_tokens, new.usage_cost, new.markup, new.currency, new.reverses_id)
      and not (new.user_id is null and old.user_id is not null) and not (new.project_id is null and old.project_id is not null))
    execute function sync.refuse_charge_change()`,
]
