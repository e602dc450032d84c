import { Migration } from '@mikro-orm/migrations'
import { computeDocumentVersion } from './Migration20261122054100_model_triggers.ts'

/**
 * A version that was merged names two: the head it was merged into, and what the device had written, kept as a version of its own.
 * That one never was the document's content, so it has no revision; it follows the version that the device had edited.
 */
export class Migration20261122150000_merged_versions extends Migration {
  override up(): void {
    this.addSql(computeMergedVersion)
  }

  override down(): void {
    this.addSql(computeDocumentVersion.replace('create function', 'create or replace function'))
  }
}

/** Whoever merges says of what: `app.merged_documents` is {document: {content, base: SHA-256 in hex of the content that was edited}}. */
const computeMergedVersion = `
create or replace function sync.compute_document_version() returns trigger language plpgsql as $$
declare
  device uuid := nullif(current_setting('app.device_id', true), '')::uuid;
  by_user uuid := nullif(current_setting('app.user_id', true), '')::uuid;
  by_agent uuid := nullif(current_setting('app.agent_id', true), '')::uuid;
  written jsonb := nullif(current_setting('app.merged_documents', true), '')::jsonb -> new.id::text;
  merged uuid;
begin
  if tg_op = 'UPDATE' and written is not null then
    merged := sync.uuid_v7();
    insert into public.document_versions (
      id, organization_id, document_id, parent_version_id, title, content, origin_device_id, created_by_user_id, created_by_agent_id
    )
    values (
      merged, new.organization_id, new.id,
      (
        select v.id from public.document_versions v
        where v.document_id = new.id and v.content_hash = decode(written ->> 'base', 'hex')
        order by v.created_at desc, v.id desc limit 1
      ),
      new.title, written ->> 'content', device, by_user, by_agent
    );
  end if;
  insert into public.document_versions (
    id, organization_id, document_id, parent_version_id, merged_version_id, revision, title, content,
    origin_device_id, created_by_user_id, created_by_agent_id
  )
  values (
    new.head_version_id, new.organization_id, new.id, old.head_version_id, merged, new.revision, new.title, new.content,
    device, by_user, by_agent
  );
  return null;
end $$`
