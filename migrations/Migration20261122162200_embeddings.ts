import { Migration } from '@mikro-orm/migrations'

/** A row waits for an embedding only where somebody makes them; who does is noted in `system_settings` by the server. */
export class Migration20261122162200_embeddings extends Migration {
  override up(): void {
    this.addSql(
      `create index "knowledge_entries_embedding_status_idx" on "knowledge_entries" ("embedding_status") where embedding_status = 'pending';`,
    )
    this.addSql(embeds)
    this.addSql(computeEmbedding(asked))
  }

  override down(): void {
    this.addSql(computeEmbedding(former))
    this.addSql('drop function sync.embeds()')
    this.addSql(`drop index "knowledge_entries_embedding_status_idx";`)
  }
}

/** With the rights of its owner: writers do not read the settings. */
const embeds = `
create function sync.embeds() returns boolean language sql stable security definer set search_path = pg_catalog, pg_temp as $$
  select coalesce((select value #>> '{}' <> 'none' from public.system_settings where key = 'embedding.provider'), false)
$$`

interface Rules {
  readonly made: string
  readonly changed: string
}

/** A client may send one later, or with the row. */
const asked: Rules = {
  made: `case when new.embedding is not null then 'ready' when new.embedding_status = 'pending' and not sync.embeds() then 'skipped' else new.embedding_status end`,
  changed: `
  elsif (new.title, new.content) is distinct from (old.title, old.content) and new.embedding_status = old.embedding_status then
    new.embedding_status := case when sync.embeds() then 'pending' else 'skipped' end;`,
}

const former: Rules = {
  made: `case when new.embedding is null then new.embedding_status else 'ready' end`,
  changed: `
  elsif (new.title, new.content) is distinct from (old.title, old.content) and new.embedding_status = old.embedding_status and old.embedding_status <> 'skipped' then
    new.embedding_status := 'pending';`,
}

/** An embedding of older content serves until the new one is there. */
const computeEmbedding = ({ made, changed }: Rules): string => `
create or replace function sync.compute_embedding() returns trigger language plpgsql as $$
begin
  if tg_op = 'INSERT' then
    new.embedding_status := ${made};
  elsif new.embedding is distinct from old.embedding and new.embedding is not null then
    new.embedding_status := 'ready';${changed}
  end if;
  if new.embedding_status = 'ready' and (tg_op = 'INSERT' or new.embedding is distinct from old.embedding) then
    new.embedded_at := now();
  end if;
  return new;
end $$`
