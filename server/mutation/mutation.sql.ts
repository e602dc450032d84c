/** The fixed statements of this room; those made of a table's columns are in `write-sql.ts` and `cascade-sql.ts`. */

/** $1 device. One row lock on the primary key; writers of the same device queue here and nowhere else. */
export const lockDevice = {
  name: 'mutation_lock_device',
  text: `
    select user_id, agent_id, organization_id, revoked_at is not null or deleted_at is not null as revoked
    from devices where id = $1 for no key update`,
} as const

/**
 * $1 mutation ids, $2 counters, of the transaction's device. Two index lookups per mutation (primary key; device_id,
 * client_seq), and the newest counter from the end of the same index. The newest ledger row of a device is never
 * purged, so its counter holds for ever.
 */
export const readLedger = {
  name: 'mutation_read_ledger',
  text: 'select id, own, client_seq, op, result from sync.known_mutations($1, $2)',
} as const

/**
 * $1 JSON of ledger rows, $2 device, $3 organization, $4 user, $5 agent. All of a push in one statement, with the marks
 * that tell the device when it has caught up with its own writes.
 */
export const recordMutations = {
  name: 'mutation_record',
  text: `
    with stored as (
      insert into sync_mutations (
        id, device_id, organization_id, client_seq, batch_id, actor_user_id, actor_agent_id, table_name, row_id, op,
        payload, payload_hash, status, result_version, conflict_id, error_code, result, client_created_at, applied_at
      )
      select
        r.id, $2::uuid, $3::uuid, r.client_seq, r.batch_id, $4::uuid, $5::uuid, r.table_name, r.row_id, r.op,
        coalesce(r.payload, '{}'), r.payload_hash, r.status, r.result_version, r.conflict_id, r.error_code, r.result,
        to_timestamp(r.client_ms / 1000), now()
      from json_to_recordset($1::json) as r(
        id uuid, mutation_id uuid, client_seq bigint, batch_id uuid, table_name text, row_id uuid, op text, payload jsonb, payload_hash bytea,
        status text, result_version integer, conflict_id uuid, error_code text, result jsonb, client_ms double precision
      )
      returning (result ->> 'mutationId')::uuid as mutation_id
    )
    select count(sync.mark(mutation_id, $2::uuid, $3::uuid)) from stored`,
} as const

/** $1 mutation ids, $2 device, $3 organization. */
export const markMutations = {
  name: 'mutation_mark',
  text: 'select count(sync.mark(id, $2::uuid, $3::uuid)) from unnest($1::uuid[]) as id',
} as const

/** $1 ids, $2 counters: all above those that the device has. */
export const recountMutations = {
  name: 'mutation_recount',
  text: 'select sync.recount_mutations($1::uuid[], $2::bigint[])',
} as const

/**
 * $1 ids, $2 organization. Accounts are private to their owners; what makes them known to others is a membership in the
 * writer's organization.
 */
export const referencedUsers = {
  name: 'mutation_referenced_users',
  text: `
    select u.id, u.channel, u.deleted_at is not null as deleted, m.channel as also
    from users u
    left join organization_members m on m.user_id = u.id and m.organization_id = $2 and m.deleted_at is null
    where u.id = any($1::uuid[])`,
} as const

/** $1 organization. Rows that refer to it need not wait. */
export const lockOrganization = {
  name: 'mutation_lock_organization',
  text: 'select 1 from organizations where id = $1 for no key update',
} as const

/** $1 organization, $2 user: an active owner other than this user, whose account is active too. */
export const otherOwner = {
  name: 'mutation_other_owner',
  text: `
    select 1 from organization_members m join users u on u.id = m.user_id
    where m.organization_id = $1 and m.user_id <> $2 and m.role = 'owner' and m.status = 'active' and m.deleted_at is null
      and u.status = 'active' and u.deleted_at is null
    limit 1`,
} as const

/** $1 name of a constraint or unique index, $2 its table. */
export const keyColumns = {
  name: 'mutation_key_columns',
  text: `
    select a.attname as name
    from (
      select conkey::int2[] as places from pg_constraint where conname = $1 and conrelid = to_regclass($2)
      union
      select i.indkey::int2[] from pg_index i join pg_class c on c.oid = i.indexrelid where c.relname = $1 and i.indrelid = to_regclass($2)
    ) key, unnest(key.places) with ordinality as part(place, n)
    join pg_attribute a on a.attrelid = to_regclass($2) and a.attnum = part.place
    order by part.n`,
} as const

/** $1 what `mergedDocuments` makes: of which contents the documents are merged that the next statements write. */
export const tellMergedDocuments = {
  name: 'mutation_merged_documents',
  text: `select set_config('app.merged_documents', $1, true)`,
} as const

/**
 * $1 table, $2 organization, whose own policy overrides the shipped one. Milliseconds; null or no row: nothing is
 * deleted for its age.
 */
export const readRetention = {
  name: 'mutation_retention',
  text: `
    select case when p.is_enabled and not p.legal_hold and p.action <> 'keep' then (extract(epoch from p.keep_for) * 1000)::float8 end as ms
    from retention_policies p
    where p.table_name = $1 and p.time_column = 'occurred_at' and p.condition = 'none' and (p.organization_id = $2 or p.organization_id is null)
    order by p.organization_id nulls last limit 1`,
} as const
