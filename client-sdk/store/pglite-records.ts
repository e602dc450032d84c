import { vectorFromBase64, vectorToBase64 } from '../../protocol/rows/base64.ts'
import type { Json, Row, Value } from '../../protocol/rows/row.ts'
import type { Subscription } from '../../protocol/messages/subscription.ts'
import type { TableDescriptor } from '../../protocol/rows/table.ts'
import { tableOf, type Tables } from './holding.ts'
import type { Executor } from './pglite-like.ts'
import {
  emptyMeta,
  type ReplicaMeta,
  type RowState,
  type StoreCommit,
  type StoredEntry,
  type StoredState,
  type SubscriptionRecord,
} from './store.ts'

/** Everything of a replica but its rows: the tables `local_*` of schema `tidewire`. */
export async function loadRecords(database: Executor, tables: Tables): Promise<StoredState> {
  const meta = await database.query<{ key: string; value: Json }>('select key, value from tidewire.local_meta')
  const outbox = await database.query<{ entry: StoredEntry }>(
    'select entry from tidewire.local_outbox order by position',
  )
  const states = await database.query<{
    table_name: string
    row_id: string
    server_image: Record<string, Json> | null
  }>('select table_name, row_id::text, server_image from tidewire.local_row_states order by table_name, row_id')
  const subscriptions = await database.query<{
    state: SubscriptionRecord['state']
    from: number | null
    next: string | null
    subscription: Subscription
  }>(
    `select state, from_seq::float8 as "from", next_page as next, subscription from tidewire.local_subscriptions order by id`,
  )
  return {
    meta: readMeta(meta.rows),
    outbox: outbox.rows.map((row) => row.entry),
    // States of a table that left the schema cannot be shown any more.
    states: states.rows
      .filter((row) => tables.has(row.table_name))
      .map((row) => ({
        table: row.table_name,
        rowId: row.row_id,
        serverImage: row.server_image === null ? null : rowFromJson(tableOf(tables, row.table_name), row.server_image),
      })),
    subscriptions: subscriptions.rows.map(({ subscription, state, from, next }) => ({
      subscription,
      state,
      from,
      next,
    })),
  }
}

export async function saveRecords(database: Executor, tables: Tables, commit: StoreCommit): Promise<void> {
  const { outbox, states, subscriptions, meta } = commit
  if (outbox !== undefined) await saveOutbox(database, outbox.puts, outbox.deletes)
  if (states !== undefined) await saveStates(database, tables, states.puts, states.deletes)
  if (subscriptions !== undefined) await saveSubscriptions(database, subscriptions.puts, subscriptions.deletes)
  if (meta !== undefined) await saveMeta(database, meta)
}

export async function saveMeta(database: Executor, meta: Partial<ReplicaMeta>): Promise<void> {
  const text = `insert into tidewire.local_meta (key, value) select key, value from json_each($1::json)
    on conflict (key) do update set value = excluded.value, updated_at = now()`
  await database.query(text, [JSON.stringify(meta)])
}

function readMeta(rows: readonly { readonly key: string; readonly value: Json }[]): ReplicaMeta {
  const known = rows.filter((row) => row.key in emptyMeta)
  // Written by `saveMeta` from a ReplicaMeta.
  return { ...emptyMeta, ...(Object.fromEntries(known.map((row) => [row.key, row.value])) as Partial<ReplicaMeta>) }
}

async function saveOutbox(database: Executor, puts: readonly StoredEntry[], deletes: readonly string[]): Promise<void> {
  const records = puts.map((entry) => {
    const { id, table, rowId } = entry.mutation
    return { id, position: entry.position, status: entry.status, table_name: table, row_id: rowId, entry }
  })
  if (records.length > 0) {
    const text = `insert into tidewire.local_outbox (id, position, status, table_name, row_id, entry)
      select * from json_to_recordset($1::json) as r(id uuid, position bigint, status text, table_name text, row_id uuid, entry json)
      on conflict (id) do update set position = excluded.position, status = excluded.status, table_name = excluded.table_name,
        row_id = excluded.row_id, entry = excluded.entry`
    await database.query(text, [JSON.stringify(records)])
  }
  if (deletes.length > 0)
    await database.query('delete from tidewire.local_outbox where id = any($1::uuid[])', [deletes])
}

async function saveStates(
  database: Executor,
  tables: Tables,
  puts: readonly RowState[],
  deletes: readonly { readonly table: string; readonly rowId: string }[],
): Promise<void> {
  const records = puts.map(({ table, rowId, serverImage }) => ({
    table_name: table,
    row_id: rowId,
    server_image: serverImage === null ? null : rowToJson(tableOf(tables, table), serverImage),
  }))
  if (records.length > 0) {
    const text = `insert into tidewire.local_row_states (table_name, row_id, server_image)
      select * from json_to_recordset($1::json) as r(table_name text, row_id uuid, server_image json)
      on conflict (table_name, row_id) do update set server_image = excluded.server_image`
    await database.query(text, [JSON.stringify(records)])
  }
  if (deletes.length > 0) {
    const text = `delete from tidewire.local_row_states as s using json_to_recordset($1::json) as r("table" text, "rowId" uuid)
      where s.table_name = r."table" and s.row_id = r."rowId"`
    await database.query(text, [JSON.stringify(deletes)])
  }
}

async function saveSubscriptions(
  database: Executor,
  puts: readonly SubscriptionRecord[],
  deletes: readonly string[],
): Promise<void> {
  const records = puts.map(({ subscription, state, from, next }) => ({
    id: subscription.id,
    channel: subscription.channel,
    state,
    from_seq: from,
    next_page: next,
    subscription,
  }))
  if (records.length > 0) {
    const text = `insert into tidewire.local_subscriptions (id, channel, state, from_seq, next_page, subscription)
      select * from json_to_recordset($1::json) as r(id text, channel text, state text, from_seq bigint, next_page text, subscription json)
      on conflict (id) do update set channel = excluded.channel, state = excluded.state, from_seq = excluded.from_seq,
        next_page = excluded.next_page, subscription = excluded.subscription`
    await database.query(text, [JSON.stringify(records)])
  }
  if (deletes.length > 0)
    await database.query('delete from tidewire.local_subscriptions where id = any($1::text[])', [deletes])
}

/** A row inside JSON: vectors as base64. */
function rowToJson(table: TableDescriptor, row: Row): Readonly<Record<string, Value>> {
  return mapVectors(table, row, (value) => (value instanceof Float32Array ? vectorToBase64(value) : value))
}

function rowFromJson(table: TableDescriptor, row: Readonly<Record<string, Json>>): Row {
  return mapVectors(table, row, (value) => (typeof value === 'string' ? (vectorFromBase64(value) ?? null) : value))
}

function mapVectors(
  table: TableDescriptor,
  row: Readonly<Record<string, Value>>,
  change: (value: Value) => Value,
): Record<string, Value> {
  const entries = Object.entries(row).map(
    ([key, value]) => [key, table.columns[key]?.type === 'vector' ? change(value) : value] as const,
  )
  return Object.fromEntries(entries)
}
