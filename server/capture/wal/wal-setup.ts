import pg from 'pg'
import type { Log } from '../../telemetry/telemetry.ts'
import { captureNames } from './capture-names.ts'
import { patiently, withSetupLock } from './setup-lock.ts'

export interface CaptureNames {
  readonly publication: string
  readonly slot: string
}

interface CapturedTable {
  readonly name: string
  readonly identity: string | null
  readonly identified: boolean
  readonly published: boolean
  readonly listens: boolean
}

interface Standing {
  readonly database: string
  readonly capture: 'trigger' | 'wal'
}

/**
 * Brings a database to capture from the WAL, or what of it is missing; does nothing when all is there. The order leaves no gap
 * and no moment without capture:
 *
 *   1 publication and replica identities   2 slot   3 keys become messages   4 table by table, triggers rest
 *
 * From 2 to 4 a change may come twice within its transaction, and is folded. Where the slot (or a table's place in the
 * publication) was lost while it was the only witness, changes were missed: the epoch changes, and replicas start over.
 */
export function setUpCapture(connection: pg.ClientConfig, log: Log): Promise<CaptureNames> {
  return withSetupLock(connection, (client) => setUp(client, log))
}

async function setUp(client: pg.Client, log: Log): Promise<CaptureNames> {
  const { database, capture } = await one<Standing>(
    client,
    'select current_database() as database, capture from sync.settings',
  )
  const names = captureNames(database)
  const { publication, slot } = names
  const published = await client.query('select from pg_publication where pubname = $1', [publication])
  if (published.rowCount === 0) await client.query(`create publication ${pg.escapeIdentifier(publication)}`)
  const tables = await client.query<CapturedTable>('select * from sync.captured_tables($1)', [publication])
  const usable = tables.rows.filter(({ identity, identified }) => identified || identity !== null)
  for (const { name } of usable.filter((table) => !table.published || !table.identified)) {
    await patiently(() => client.query('select sync.publish_table($1, $2)', [publication, name]))
  }
  // A slot that began before its publication was made can never find it.
  const fresh = await ensureSlot(client, slot, published.rowCount === 0)
  const unwitnessed = tables.rows.filter((table) => !table.published && !table.listens)
  if (capture === 'wal' && (fresh || unwitnessed.length > 0)) {
    log.error('Changes were missed while nothing captured them; all replicas start over', {
      slot: fresh ? 'lost' : 'kept',
      tables: unwitnessed.map(({ name }) => name),
    })
    await client.query('update sync_heads set epoch = gen_random_uuid()::text, updated_at = now()')
  }
  if (fresh) await forgetTheFuture(client, slot)
  if (capture === 'trigger') await patiently(() => client.query('select sync.capture_by_wal($1, null)', [publication]))
  for (const { name } of usable.filter(({ listens }) => listens)) {
    await patiently(() => client.query('select sync.capture_by_wal($1, $2)', [publication, name]))
  }
  if (fresh) log.info('Changes are captured from the WAL', { slot, publication, tables: usable.length })
  return names
}

/** True: the slot is a new one. */
async function ensureSlot(client: pg.Client, slot: string, anew: boolean): Promise<boolean> {
  const { rows } = await client.query<{ lost: boolean }>(
    `select coalesce(wal_status = 'lost', false) as lost from pg_replication_slots where slot_name = $1`,
    [slot],
  )
  const [known] = rows
  if (known && !known.lost && !anew) return false
  if (known) await client.query('select pg_drop_replication_slot($1)', [slot])
  // Waits for all transactions that are open now, the longest of them too.
  await client.query('set lock_timeout = 0')
  await client.query(`select pg_create_logical_replication_slot($1, 'pgoutput')`, [slot])
  await client.query(`set lock_timeout = '3s'`)
  await client.query('delete from sync_capture where slot_name = $1', [slot])
  return true
}

/** A log that reaches beyond the slot's beginning was brought here from elsewhere: those positions are still to come. */
async function forgetTheFuture(client: pg.Client, slot: string): Promise<void> {
  const { rowCount } = await client.query(
    `delete from sync_changes where seq > (select (confirmed_flush_lsn - '0/0')::bigint from pg_replication_slots where slot_name = $1)`,
    [slot],
  )
  if (rowCount)
    await client.query(
      'update sync_heads set epoch = gen_random_uuid()::text, pruned_through_seq = 0, updated_at = now()',
    )
}

async function one<R extends object>(client: pg.Client, sql: string): Promise<R> {
  const { rows } = await client.query<R>(sql)
  const [row] = rows
  if (!row) throw new Error('sync.settings is empty: run `npx tidewire migrate`.')
  return row
}
