import { Migration } from '@mikro-orm/migrations'

/** The tasks of a project are counted in their index alone, and memories of a project and type are found in one. */
export class Migration20261122176000_counted_tasks extends Migration {
  override up(): void {
    this.addSql('drop index "tasks_project_id_status_priority_rank_created_at_idx"')
    this.addSql(
      'create index "tasks_project_id_status_priority_rank_created_at_idx" on "tasks" ("project_id", "status", "priority_rank", "created_at") include (organization_id, deleted_at)',
    )
    this.addSql('drop index "memories_project_id_status_idx"')
    this.addSql(
      'create index "memories_project_id_status_memory_type_idx" on "memories" ("project_id", "status", "memory_type")',
    )
  }

  override down(): void {
    this.addSql('drop index "memories_project_id_status_memory_type_idx"')
    this.addSql('create index "memories_project_id_status_idx" on "memories" ("project_id", "status")')
    this.addSql('drop index "tasks_project_id_status_priority_rank_created_at_idx"')
    this.addSql(
      'create index "tasks_project_id_status_priority_rank_created_at_idx" on "tasks" ("project_id", "status", "priority_rank", "created_at")',
    )
  }
}
