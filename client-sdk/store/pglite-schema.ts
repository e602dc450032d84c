import type { Tables } from './holding.ts'
import { dropTables, localDdl, tablesDdl } from './pglite-ddl.ts'
import type { Executor } from './pglite-like.ts'
import { saveMeta } from './pglite-records.ts'

/** Keeps the DDL that the tables were made by, under a name that is no field of ReplicaMeta. */
const ddlKey = 'replicaDdl'

/**
 * Brings the tables of a replica to the schema at hand. When that differs from the one they were made by, they are made
 * anew and filled from the server again: subscriptions fall back to `new`, the cursor to null. Unsent writes, row
 * states and the replica's identity stay, and so do the rows that pending writes have changed or made, as far as
 * columns are still the same.
 */
export async function prepareSchema(database: Executor, tables: Tables): Promise<void> {
  await database.exec(localDdl)
  const ddl = tablesDdl(tables)
  const stored = await database.query<{ value: string }>('select value from tidewire.local_meta where key = $1', [
    ddlKey,
  ])
  const [before] = stored.rows
  if (before?.value === ddl) return
  if (before === undefined) {
    await database.exec(ddl)
  } else {
    await database.exec(moveAside)
    await database.exec(ddl)
    await database.exec(bringBack)
    await database.exec(
      `update tidewire.local_subscriptions set state = 'new', from_seq = null, next_page = null; truncate tidewire.local_staging`,
    )
    await saveMeta(database, { cursor: null, lacksColumns: false })
  }
  const text = `insert into tidewire.local_meta (key, value) values ($1, to_json($2::text))
    on conflict (key) do update set value = excluded.value, updated_at = now()`
  await database.query(text, [ddlKey, ddl])
}

/** Keeps of the old tables what pending writes have touched, and drops the tables. */
const moveAside = `
create temp table pending_rows on commit drop as
  select table_name, row_id from tidewire.local_row_states
  union select table_name, row_id from tidewire.local_outbox where status <> 'synced';
create temp table kept_rows (table_name text, data jsonb) on commit drop;
do $$
declare name text;
begin
  for name in select tablename from pg_tables where schemaname = 'public' loop
    execute format('insert into kept_rows select %1$L, to_jsonb(t) from public.%1$I as t
      where t.id in (select row_id from pending_rows where table_name = %1$L)', name);
  end loop;
end $$;
${dropTables}`

/** A row that the new table refuses (a column changed its type) is left out: its state and write tell what it was. */
const bringBack = `
do $$
declare kept record;
begin
  for kept in select * from kept_rows where to_regclass(format('public.%I', table_name)) is not null loop
    begin
      execute format('insert into public.%1$I select * from jsonb_populate_record(null::public.%1$I, $1)', kept.table_name) using kept.data;
    exception when data_exception then null;
    end;
  end loop;
end $$;`
