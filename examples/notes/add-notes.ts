import { Migration } from 'tidewire'

export class AddNotes extends Migration {
  override up(): void {
    this.addSql(
      `create table "notes" ("id" uuid not null default sync.uuid_v7(), "organization_id" uuid not null, "channel" text not null, "version" int not null default 1, "origin_device_id" uuid null, "created_at" timestamptz(3) not null default now(), "updated_at" timestamptz(3) not null default now(), "deleted_at" timestamptz(3) null, "project_id" uuid not null, "task_id" uuid null, "title" text not null, "body" text not null default '', "mood" text not null default 'calm', primary key ("id"))`,
    )
    this.addSql(`create index "notes_project_id_created_at_idx" on "notes" ("project_id", "created_at")`)
    this.addSql(`create index "notes_organization_id_idx" on "notes" ("organization_id")`)
    this.addSql(`create index "notes_task_id_idx" on "notes" ("task_id")`)
    this.addSql(`alter table "notes" add constraint "notes_id_channel_key" unique ("id", "channel")`)
    this.addSql(
      `alter table "notes" add constraint "notes_organization_id_foreign" foreign key ("organization_id") references "organizations" ("id") on update no action on delete cascade`,
    )
    this.addSql(
      `alter table "notes" add constraint "notes_origin_device_id_foreign" foreign key ("origin_device_id") references "devices" ("id") on update no action on delete set null`,
    )
    this.addSql(
      `alter table "notes" add constraint "notes_project_id_foreign" foreign key ("project_id") references "projects" ("id") on update no action on delete cascade`,
    )
    this.addSql(
      `alter table "notes" add constraint "notes_task_id_foreign" foreign key ("task_id") references "tasks" ("id") on update no action on delete set null`,
    )
    this.addSql(`alter table "notes" add constraint "notes_version_check" check ("version" > 0)`)
    this.addSql(
      `alter table "notes" add constraint "notes_title_check" check (char_length("title") >= 1 and char_length("title") <= 80)`,
    )
    this.addSql(`alter table "notes" add constraint "notes_mood_check" check ("mood" in ('calm', 'stormy'))`)
    this.addSql(`select sync.install_channel('notes', $$'project/' || new.project_id$$)`)
    this.addSql(`select sync.install_touch('notes', '{project_id}', '{}')`)
    this.addSql(`select sync.install_capture('notes')`)
  }

  override down(): void {
    this.addSql(`drop table if exists "notes" cascade`)
    this.addSql(
      `drop function if exists sync.channel_notes, sync.touch_notes, sync.capture_notes_insert, sync.capture_notes_update, sync.capture_notes_delete, sync.capture_notes_truncate`,
    )
  }
}
