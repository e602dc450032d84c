import { Migration } from '@mikro-orm/migrations'
import { projectGivesWork, readyTasks } from './Migration20261122178200_resting_projects.ts'

/**
 * A task of a macro step is ready when that step may begin: every step before it is completed or skipped, and those that only have to
 * begin first (`start_to_start`) have begun. People and agents say how far a step is; tasks do not change it.
 */
export class Migration20261122178300_step_order extends Migration {
  override up(): void {
    this.addSql(readyTasks(`and (${projectGivesWork}) and ${stepMayBegin()}`))
  }

  override down(): void {
    this.addSql(readyTasks(`and (${projectGivesWork})`))
  }
}

/** Of a dependency `m` on a step `s`: that step is still in the way. */
export const unfinished = `m.deleted_at is null and s.deleted_at is null
          and case m.kind when 'start_to_start' then s.status in ('pending', 'ready', 'cancelled') else s.status not in ('completed', 'skipped') end`

/** Whether the step of a task `t` may begin. */
export const stepMayBegin = (more = ''): string => `not exists (
        select from public.macro_step_dependencies m join public.macro_steps s on s.id = m.depends_on_id
        where m.macro_step_id = t.macro_step_id ${more} and ${unfinished}
      )`
