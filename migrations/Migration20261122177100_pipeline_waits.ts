import { Migration } from '@mikro-orm/migrations'

/**
 * The time of a run does not go on while it waits for people: for an approval, or for the waiver of a gate. And a run that has ended
 * stays as it ended.
 */
export class Migration20261122177100_pipeline_waits extends Migration {
  override up(): void {
    for (const statement of [table, seed, countWaiting]) this.addSql(statement)
    for (const [name, before, after] of changes) this.addSql(inFunction(name, before, after))
  }

  override down(): void {
    for (const [name, before, after] of changes.toReversed()) this.addSql(inFunction(name, after, before))
    this.addSql('drop function sync.count_waiting(uuid, interval)')
    this.addSql('drop table sync.pipeline_waits')
  }
}

/** \`waited\`: how long the run has waited for people until \`since\`, when it began to wait again; null: it does not. */
const table = `
create table sync.pipeline_waits (
  execution_id uuid primary key references public.pipeline_executions on delete cascade,
  waited interval not null default '0',
  since timestamptz
)`

/** Whether the only steps that could go on are approvals. */
const waits = (execution: string): string => `(
    select count(*) > 0 and bool_and(s.kind = 'approval') from public.pipeline_step_executions x join public.pipeline_steps s on s.id = x.step_id
    where x.execution_id = ${execution} and x.status in ('queued', 'running')
  )`

const seed = `
insert into sync.pipeline_waits (execution_id, since)
select e.id, (select max(x.updated_at) from public.pipeline_step_executions x where x.execution_id = e.id)
from public.pipeline_executions e where e.status in ('pending', 'queued', 'running') and ${waits('e.id')}`

/** Called under the lock of the run, after each of its steps. \`more\`: it has waited this long besides. */
const countWaiting = `
create function sync.count_waiting(execution uuid, more interval) returns void language plpgsql as $$
begin
  update sync.pipeline_waits set waited = waited + coalesce(clock_timestamp() - since, '0') + more, since = null where execution_id = execution;
  if not found and more > '0' then insert into sync.pipeline_waits (execution_id, waited) values (execution, more); end if;
  if ${waits('execution')} then
    insert into sync.pipeline_waits (execution_id, since) values (execution, clock_timestamp())
    on conflict (execution_id) do update set since = excluded.since;
  end if;
end $$`

export const changes: readonly (readonly [name: string, before: string, after: string])[] = [
  [
    'sync.start_pipeline(uuid, text, text, text, jsonb)',
    'perform sync.advance_pipeline(made);',
    `perform sync.advance_pipeline(made);
  perform sync.count_waiting(made, '0');`,
  ],
  [
    'sync.finish_step(uuid, text, jsonb)',
    'perform sync.advance_pipeline(x.execution_id);',
    `perform sync.advance_pipeline(x.execution_id);
  perform sync.count_waiting(x.execution_id, '0');`,
  ],
  [
    'sync.waive_gate(uuid, text, uuid, text)',
    'perform sync.advance_pipeline(execution);',
    `perform sync.advance_pipeline(execution);
  perform sync.count_waiting(execution, coalesce(clock_timestamp() - e.finished_at, '0'));`,
  ],
  [
    'sync.sweep_pipelines()',
    `join public.pipelines p on p.id = e.pipeline_id
    where e.status in ('pending', 'queued', 'running') and e.queued_at < clock_timestamp() - make_interval(secs => p.timeout_seconds)`,
    `join public.pipelines p on p.id = e.pipeline_id left join sync.pipeline_waits w on w.execution_id = e.id
    where e.status in ('pending', 'queued', 'running')
      and e.queued_at + coalesce(w.waited, '0') + coalesce(clock_timestamp() - w.since, '0') < clock_timestamp() - make_interval(secs => p.timeout_seconds)`,
  ],
  [
    'sync.end_pipeline(uuid, text, text)',
    'delete from sync.step_leases where step_execution_id in',
    `perform from public.pipeline_executions where id = execution and status in ('pending', 'queued', 'running') for no key update;
  if not found then return; end if;
  delete from sync.step_leases where step_execution_id in`,
  ],
]

const inFunction = (name: string, before: string, after: string): string => `
do $$ declare
  definition text := pg_get_functiondef('${name}'::regprocedure);
begin
  if position($t$${before}$t$ in definition) = 0 then raise exception '${name} is not as it was expected.'; end if;
  execute replace(definition, $t$${before}$t$, $t$${after}$t$);
end $$`
