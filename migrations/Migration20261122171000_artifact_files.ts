import { Migration } from '@mikro-orm/migrations'

/**
 * The places of artifacts whose rows are gone, whether they expired or went with their run or project. Retention removes the
 * files and then the notes.
 */
export class Migration20261122171000_artifact_files extends Migration {
  override up(): void {
    for (const statement of statements) this.addSql(statement)
  }

  override down(): void {
    this.addSql('drop trigger z_artifact_file on pipeline_artifacts')
    this.addSql('drop function sync.note_artifact_file()')
    this.addSql('drop table sync.artifact_files')
  }
}

const statements = [
  `
create table sync.artifact_files (
  id bigint generated always as identity primary key,
  organization_id uuid not null,
  place text not null
)`,
  // Whoever deletes a row need not be allowed to note anything.
  `
create function sync.note_artifact_file() returns trigger language plpgsql security definer set search_path = '' as $$
begin
  insert into sync.artifact_files (organization_id, place) values (old.organization_id, old.storage_uri);
  return null;
end $$`,
  'create trigger z_artifact_file after delete on pipeline_artifacts for each row execute function sync.note_artifact_file()',
]
