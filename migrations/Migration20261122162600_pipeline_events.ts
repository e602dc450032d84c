import { Migration } from '@mikro-orm/migrations'

/** Pipelines that are started by events begin in the transaction that publishes one. */
export class Migration20261122162600_pipeline_events extends Migration {
  override up(): void {
    this.addSql(startByEvent)
    this.addSql(
      `create trigger c_pipelines after insert on events for each row
        when (new.organization_id is not null) execute function sync.start_pipelines_by_event()`,
    )
  }

  override down(): void {
    this.addSql('drop trigger c_pipelines on events')
    this.addSql('drop function sync.start_pipelines_by_event()')
  }
}

/**
 * \`trigger_config\`: {source?, type?, filter?, branch?, inputs?}, patterns and filter as of a subscription. A row that is only moved to its
 * month was published before. No pipeline is started by its own runs, nor by a chain of events within one transaction; one that
 * cannot be started keeps no event from being published.
 */
const startByEvent = `
create function sync.start_pipelines_by_event() returns trigger language plpgsql as $$
declare
  p record;
begin
  if new.created_at not between now() - interval '1 millisecond' and now() + interval '1 millisecond' or pg_trigger_depth() > 4 then return null; end if;
  for p in
    select id, trigger_config as config from public.pipelines
    where organization_id = new.organization_id and trigger_kind = 'event' and is_active and deleted_at is null
      and (new.project_id is null or project_id = new.project_id)
    order by id
  loop
    begin
      if sync.event_matches(new, coalesce(p.config ->> 'source', '*'), coalesce(p.config ->> 'type', '*'), coalesce(p.config -> 'filter', '{}'))
        and not exists (select from public.pipeline_executions x where x.id = new.subject_id and x.pipeline_id = p.id)
        and (select count(*) from public.pipeline_executions x where x.pipeline_id = p.id and x.status in ('pending', 'queued', 'running')) < 100
      then
        perform sync.start_pipeline(p.id, 'event', p.config ->> 'branch', null, coalesce(p.config -> 'inputs', '{}') || jsonb_build_object('event',
          jsonb_build_object('id', new.id, 'seq', new.seq, 'source', new.source, 'type', new.type, 'subjectType', new.subject_type,
            'subjectId', new.subject_id, 'data', new.event_data)));
      end if;
    exception when others then
      raise warning 'Pipeline % was not started by event %: %', p.id, new.id, sqlerrm;
    end;
  end loop;
  return null;
end $$`
