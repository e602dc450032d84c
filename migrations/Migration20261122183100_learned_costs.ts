import { Migration } from '@mikro-orm/migrations'
import { actualCost } from './Migration20261122164000_repricing.ts'
import { inFunction } from './Migration20261122183000_kept_figures.ts'

/**
 * Estimators that learn: an estimate is closed with what it is of, and the models of its organization are held against what was truly
 * spent. Triggers note what there is to learn from; the server's minute learns. One model of a target is active at a time, and
 * who would make a second one so is told which one is.
 */
export class Migration20261122183100_learned_costs extends Migration {
  override up(): void {
    this.addSql('create table sync.stale_models (organization_id uuid not null)')
    for (const statement of [
      actualTokens,
      closeEstimates,
      noteStaleModel,
      onlyActiveModel,
      costSamples,
      trainCostModels,
    ])
      this.addSql(statement)
    for (const [table, trigger] of triggers) this.addSql(`create trigger ${trigger.replace('ON_TABLE', `on ${table}`)}`)
    this.addSql(inFunction('sync.wanted_grants()', noted, alsoNoted))
    this.addSql('select sync.secure()')
    this.addSql('insert into sync.stale_models select distinct organization_id from cost_models')
  }

  override down(): void {
    for (const [table, trigger] of triggers) this.addSql(`drop trigger ${trigger.split(' ')[0]} on ${table}`)
    for (const name of [
      'train_cost_models()',
      'cost_samples(uuid, text)',
      'only_active_model()',
      'note_stale_model()',
      'close_estimates()',
      'actual_tokens(cost_estimates)',
    ])
      this.addSql(`drop function sync.${name}`)
    this.addSql('drop table sync.stale_models')
    this.addSql(inFunction('sync.wanted_grants()', alsoNoted, noted))
    this.addSql('select sync.secure()')
  }
}

const noted = `'stale_agents', 'usage_news')`
const alsoNoted = `'stale_agents', 'stale_models', 'usage_news')`

/** Like `sync.actual_cost`, in tokens. */
const actualTokens = actualCost
  .replace('sync.actual_cost(', 'sync.actual_tokens(')
  .replace(
    'select sum(cost_usd) as cost from public.token_usages',
    'select sum(total_tokens) as cost from public.token_usages',
  )
  .replace(
    'select sum(cost_usd) from public.token_usage_daily',
    'select sum(input_tokens + output_tokens) from public.token_usage_daily',
  )
  .replace('select sum(u.cost_usd)', 'select sum(u.total_tokens)')

/** What is over has cost what it has cost. Of a project that ends, all of its estimates; of others, those of the row itself. */
const closeEstimates = `
create function sync.close_estimates() returns trigger language plpgsql as $$
begin
  update public.cost_estimates set status = 'closed'
  where status in ('draft', 'approved') and deleted_at is null and case tg_table_name
    when 'projects' then project_id = new.id
    when 'plans' then plan_id = new.id
    when 'phases' then phase_id = new.id
    when 'macro_steps' then macro_step_id = new.id
    else task_id = new.id end;
  return null;
end $$`

const noteStaleModel = `
create function sync.note_stale_model() returns trigger language plpgsql as $$
begin
  if tg_op = 'INSERT' or new is distinct from old then
    insert into sync.stale_models values (new.organization_id);
  end if;
  return null;
end $$`

const onlyActiveModel = `
create function sync.only_active_model() returns trigger language plpgsql as $$
declare
  active public.cost_models;
begin
  select * into active from public.cost_models m
  where m.organization_id = new.organization_id and m.target = new.target and m.is_active and m.deleted_at is null and m.id <> new.id;
  if active.id is not null then
    raise exception 'the model % (revision %, id %) is active for %. Make it inactive first.', active.name, active.revision, active.id, new.target
      using errcode = 'check_violation', table = 'cost_models', column = 'is_active', constraint = 'cost_models_one_active';
  end if;
  return new;
end $$`

/**
 * What was foreseen and what came, of the thousand that ended last: \`basis\` is what was foreseen without a model (\`assumptions\` of an estimate
 * that the server made), \`expected\` what was foreseen in the end.
 */
const costSamples = `
create function sync.cost_samples(organization uuid, of_target text)
returns table (model uuid, basis double precision, expected double precision, actual double precision) language plpgsql stable as $$
begin
  if of_target = 'hours' then
    return query select null::uuid, t.estimated_hours::float8, t.estimated_hours::float8, t.actual_hours::float8
    from public.tasks t
    where t.organization_id = organization and t.status = 'completed' and t.deleted_at is null and t.estimated_hours > 0 and t.actual_hours > 0
    order by t.completed_at desc nulls last limit 1000;
    return;
  end if;
  return query select found.model, coalesce(found.told, found.expected), found.expected, found.actual from (
    select e.cost_model_id as model, e.closed_at,
      (
        select (a.made ->> of_target)::float8
        from jsonb_array_elements(case jsonb_typeof(e.assumptions) when 'array' then e.assumptions else '[]' end) as a (made)
        where a.made ->> 'kind' = 'cost_model' and jsonb_typeof(a.made -> of_target) = 'number' limit 1
      ) as told,
      case of_target when 'cost' then e.cost_expected else e.estimated_input_tokens + e.estimated_output_tokens end::float8 as expected,
      case of_target when 'cost' then e.actual_cost else sync.actual_tokens(e) end::float8 as actual
    from (
      select * from public.cost_estimates c
      where c.organization_id = organization and c.status = 'closed' and c.deleted_at is null and c.actual_cost is not null
      order by c.closed_at desc limit 1000
    ) e
  ) found
  where coalesce(found.told, found.expected) > 0 and found.expected > 0 and found.actual > 0;
end $$`

/**
 * Learns, for the organizations that have something new to learn from. A model of kind \`average\` is the mean of what came divided by what was
 * foreseen (\`parameters.ratio\`), and is measured over all samples; a model of another kind is made elsewhere, and measured over the
 * estimates that name it. Errors are of what came: \`mean_absolute_pct_error\` 25 is a quarter. Returns how many models changed.
 */
const trainCostModels = `
create function sync.train_cost_models() returns integer language plpgsql as $$
declare
  stale uuid[];
  changed integer;
begin
  with gone as (delete from sync.stale_models returning organization_id) select array_agg(distinct organization_id) into stale from gone;
  with learned as (
    select m.id, found.*
    from public.cost_models m, lateral (
      select case when m.kind = 'average' then round(avg(s.actual / s.basis)::numeric, 6) end as ratio
      from sync.cost_samples(m.organization_id, m.target) s
    ) mean, lateral (
      select mean.ratio, count(*)::integer as samples, avg(abs(error)) as mae, 100 * avg(abs(error) / actual) as pct,
        1 - sum(error * error) / nullif(sum(actual * actual) - sum(actual) * sum(actual) / count(*), 0) as r_squared
      from (
        select s.actual, s.actual - case when m.kind = 'average' then mean.ratio::float8 * s.basis else s.expected end as error
        from sync.cost_samples(m.organization_id, m.target) s
        where m.kind = 'average' or s.model = m.id
      ) each_one
    ) found
    where m.organization_id = any (stale) and m.deleted_at is null
  )
  update public.cost_models m set
    sample_count = l.samples, mean_absolute_error = l.mae, mean_absolute_pct_error = l.pct, r_squared = l.r_squared,
    parameters = case when l.ratio is null then m.parameters else m.parameters || jsonb_build_object('ratio', trim_scale(l.ratio)) end,
    trained_at = case when l.samples > 0 then date_trunc('milliseconds', now()) end
  from learned l where m.id = l.id
    and (m.sample_count, m.mean_absolute_error, m.mean_absolute_pct_error, m.r_squared, coalesce(l.ratio, (m.parameters ->> 'ratio')::numeric))
      is distinct from (l.samples, l.mae, l.pct, l.r_squared, (m.parameters ->> 'ratio')::numeric);
  get diagnostics changed = row_count;
  return changed;
end $$`

const ends = (table: string, ended: string): readonly [table: string, trigger: string] => [
  table,
  `e_estimates_closed after update of status ON_TABLE for each row
    when (new.status in (${ended}) and old.status not in (${ended})) execute function sync.close_estimates()`,
]

const triggers: readonly (readonly [table: string, trigger: string])[] = [
  ends('tasks', `'completed', 'failed', 'cancelled'`),
  ends('macro_steps', `'completed', 'failed', 'skipped', 'cancelled'`),
  ends('phases', `'completed', 'failed', 'skipped', 'cancelled'`),
  ends('plans', `'completed', 'cancelled'`),
  ends('projects', `'completed', 'failed', 'cancelled', 'archived'`),
  [
    'cost_estimates',
    `e_models_stale after insert or update of status, actual_cost ON_TABLE for each row
    when (new.status = 'closed') execute function sync.note_stale_model()`,
  ],
  [
    'cost_models',
    `e_models_stale after insert or update of kind, target, deleted_at ON_TABLE for each row execute function sync.note_stale_model()`,
  ],
  [
    'tasks',
    `e_models_stale after update of status, estimated_hours, actual_hours ON_TABLE for each row
    when (new.status = 'completed' and new.estimated_hours > 0 and new.actual_hours > 0) execute function sync.note_stale_model()`,
  ],
  [
    'cost_models',
    `a_one_active before insert or update of is_active, target, deleted_at ON_TABLE for each row
    when (new.is_active and new.deleted_at is null) execute function sync.only_active_model()`,
  ],
]
