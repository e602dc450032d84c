import { Migration } from '@mikro-orm/migrations'

/**
 * For which time the newest run of a pipeline by its schedule began. The time of the row itself says less: by the clock that looked at the
 * schedule the run may be of the next minute.
 */
export class Migration20261122178000_schedule_runs extends Migration {
  override up(): void {
    this.addSql(`
create table sync.schedule_runs (
  pipeline_id uuid primary key references public.pipelines on delete cascade,
  due_at timestamptz not null
)`)
    this.addSql(`
insert into sync.schedule_runs (pipeline_id, due_at)
select pipeline_id, max(created_at) from public.pipeline_executions where trigger_kind = 'schedule' group by pipeline_id`)
  }

  override down(): void {
    this.addSql('drop table sync.schedule_runs')
  }
}
