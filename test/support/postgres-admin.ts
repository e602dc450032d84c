// What tests do to a cluster from outside: make and drop databases, and free and drop replication slots.
import pg from 'pg'

type Queryable = Pick<pg.Pool | pg.ClientBase, 'query'>

/** Each statement by itself, on a connection of its own. */
export async function administer(url: string, ...statements: readonly string[]): Promise<void> {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  try {
    for (const statement of statements) await client.query(statement)
  } finally {
    await client.end()
  }
}

/**
 * With its slots: one that a test left behind would keep its database, and the write-ahead log, for ever. The cluster
 * may be gone for good: then there is nothing to drop.
 */
export async function dropDatabase(url: string, name: string): Promise<void> {
  const client = new pg.Client({ connectionString: url })
  try {
    await client.connect()
  } catch {
    return
  }
  try {
    await dropSlots(client, name)
    await client.query(`drop database if exists ${name} with (force)`)
  } finally {
    await client.end()
  }
}

/**
 * Ends the readers of the slots of a database, also those whose connection was closed a moment ago and that Postgres
 * has not ended yet: until then a slot can neither be dropped nor be taken by another one.
 */
export async function freeSlots(client: Queryable, database?: string): Promise<void> {
  await client.query(
    `select pg_terminate_backend(active_pid, 60000) from pg_replication_slots
     where database = coalesce($1, current_database()) and active_pid is not null`,
    [database],
  )
}

/** Drops the slots of a database, whoever reads them. */
export async function dropSlots(client: Queryable, database?: string): Promise<void> {
  await freeSlots(client, database)
  await client.query(
    'select pg_drop_replication_slot(slot_name) from pg_replication_slots where database = coalesce($1, current_database())',
    [database],
  )
}
