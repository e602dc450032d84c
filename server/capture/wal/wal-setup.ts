import pg from 'pg'
import type { Log } from '../../telemetry/telemetry.ts'
import { captureNames } from './capture-names.ts'
import { patiently, withSetupLock } from './setup-lock.ts'
import type { SetupWatch } from './setup-watch.ts'

export interface GapOptions {
  /** What the slot holds cannot be read: why. */
  readonly unreadable: string | undefined
  /** Changes were missed: a new epoch has begun. */
  readonly onGap: (cause: GapCause) => void
}

/**
 * Why changes were missed: the slot was lost or what it held could not be read, or, while it was kept, a table was not
 * published as it should be.
 */
export type GapCause = keyof typeof avoid

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

/** By table, in the words of `sync.publication_state`. */
type PublicationState = Readonly<Record<string, string>>

interface Standing {
  readonly database: string
  readonly capture: 'trigger' | 'wal'
  /** It came here without its log and its slot, and with another epoch: nobody can have missed anything. */
  readonly restored: boolean
  /** A slot was being made when somebody's setup ended, and what was missed meanwhile has not been answered for. */
  readonly pending: boolean
  /** As it was when it was last set up; null: never. */
  readonly known: PublicationState | null
}

/**
 * Of a slot `s`: somebody else made it. It keeps less of the WAL than the one that was read had to, and nothing of it
 * was ever read. Neither alone would say so: the place is written once a second, and a crash of Postgres forgets what
 * was read. Where both come together, the last commit in the log says how far it was read at least.
 */
const replacedSql = `
not s.active and exists (
  select from sync_capture c join pg_stat_replication_slots t using (slot_name)
  where c.slot_name = s.slot_name and t.total_txns = 0 and s.restart_lsn - '0/0' > c.captured_through
    and s.restart_lsn - '0/0' > c.last_seq
)`

/** What to say of a gap, and how not to have another one. */
const avoid = {
  lost: 'Nothing. So that a slot is not lost again: raise max_slot_wal_keep_size, and drop no slot while Tidewire uses it.',
  unreadable: 'Nothing. So that it does not happen again: leave publication and replica identities to Tidewire.',
  kept: 'Nothing. So that it does not happen again: leave publication and replica identities to Tidewire.',
} as const

/**
 * Brings a database to capture from the WAL, or what of it is missing; does nothing when all is there. The order leaves
 * no gap and no moment without capture:
 *
 *   1 publication and replica identities   2 slot   3 keys become messages   4 table by table, triggers rest
 *
 * From 2 to 4 a change may come twice within its transaction, and is folded. Where the slot (or a table's place in the
 * publication) was lost while it was the only witness, changes were missed: the epoch changes, and replicas start over.
 * So it is when what the slot holds is `unreadable`: its words.
 */
export function setUpCapture(
  connection: pg.ClientConfig,
  log: Log,
  watch: SetupWatch,
  gaps: GapOptions,
): Promise<CaptureNames> {
  return withSetupLock(connection, (client) => setUp(client, log, gaps), watch)
}

async function setUp(client: pg.Client, log: Log, { unreadable, onGap }: GapOptions): Promise<CaptureNames> {
  const { database, capture, restored, pending, known } = await one<Standing>(
    client,
    'select current_database() as database, capture, restored, slot_pending as pending, published as known from sync.settings',
  )
  const names = captureNames(database)
  const { publication, slot } = names
  const { rows: found } = await client.query<{ state: PublicationState }>(
    'select sync.publication_state($1) as state',
    [publication],
  )
  const published = await mendPublication(client, publication)
  if (!published) await client.query(`create publication ${pg.escapeIdentifier(publication)}`)
  const tables = await client.query<CapturedTable>('select * from sync.captured_tables($1)', [publication])
  const usable = tables.rows.filter(({ identity, identified }) => identified || identity !== null)
  for (const { name } of usable.filter((table) => !table.published || !table.identified)) {
    await patiently(() => client.query('select sync.publish_table($1, $2)', [publication, name]))
  }
  // A slot that began before its publication was made can never find it.
  const fresh = await ensureSlot(client, slot, !published || unreadable !== undefined || pending)
  const state = found[0]?.state ?? {}
  const unwitnessed = tables.rows.filter(
    (table) =>
      (!table.listens && (!table.published || !table.identified)) ||
      (known?.[table.name] !== undefined && known[table.name] !== state[table.name]),
  )
  if (capture === 'wal' && !restored && (fresh || unwitnessed.length > 0)) {
    const outcome = unreadable !== undefined ? 'unreadable' : fresh ? 'lost' : 'kept'
    log.error('Changes were missed while nothing captured them; all replicas start over', {
      code: 'capture_gap',
      slot: outcome,
      ...(unreadable === undefined ? {} : { error: unreadable }),
      tables: unwitnessed.map(({ name }) => name),
      remedy: avoid[outcome],
    })
    await answerFor(client, fresh ? slot : undefined, true)
    onGap(outcome)
  } else if (fresh) await answerFor(client, slot, false)
  if (capture === 'trigger') await patiently(() => client.query('select sync.capture_by_wal($1, null)', [publication]))
  for (const { name } of usable.filter(({ listens }) => listens)) {
    await patiently(() => client.query('select sync.capture_by_wal($1, $2)', [publication, name]))
  }
  await client.query(
    `update sync.settings set restored = false,
       published = case when restored then '{}' else coalesce(published, '{}') end || sync.publication_state($1)`,
    [publication],
  )
  if (fresh) log.info('Changes are captured from the WAL', { slot, publication, tables: usable.length })
  return names
}

/**
 * False: there is none. One that leaves out some kinds of changes is dropped, and a table that is published in another
 * way than ours taken out of it.
 */
async function mendPublication(client: pg.Client, publication: string): Promise<boolean> {
  const { rows } = await client.query<{ whole: boolean }>(
    'select pubinsert and pubupdate and pubdelete and pubtruncate as whole from pg_publication where pubname = $1',
    [publication],
  )
  const [found] = rows
  if (!found) return false
  const name = pg.escapeIdentifier(publication)
  if (!found.whole) {
    await client.query(`drop publication ${name}`)
    return false
  }
  const distorted = await client.query<{ table: string }>('select t as table from sync.distorted_tables($1) t', [
    publication,
  ])
  for (const { table } of distorted.rows)
    await client.query(`alter publication ${name} drop table ${pg.escapeIdentifier(table)}`)
  return true
}

/** True: the slot is a new one, which `sync.settings.slot_pending` says until it is answered for. */
async function ensureSlot(client: pg.Client, slot: string, anew: boolean): Promise<boolean> {
  const { rows } = await client.query<{ lost: boolean }>(
    `select coalesce(s.wal_status = 'lost', false) or (${replacedSql}) as lost from pg_replication_slots s where s.slot_name = $1`,
    [slot],
  )
  const [known] = rows
  if (known && !known.lost && !anew) return false
  await client.query('update sync.settings set slot_pending = true')
  if (known) await client.query('select pg_drop_replication_slot($1)', [slot])
  // Waits for all transactions that are open now, the longest of them too; `SetupWatch` says for whom.
  await client.query('set lock_timeout = 0')
  const { waits } = await one<{ waits: boolean }>(
    client,
    `select current_setting('server_version_num')::integer >= 170000 as waits`,
  )
  // Only a failover slot waits for the standbys of `synchronized_standby_slots`.
  await client.query(`select pg_create_logical_replication_slot($1, 'pgoutput'${waits ? ', failover => true' : ''})`, [
    slot,
  ])
  await client.query(`set lock_timeout = '3s'`)
  return true
}

/**
 * Answers for what was missed, in one transaction: a `gap` begins another epoch, and a `slot` that is new is no longer
 * pending. A log that reaches beyond that slot's beginning was brought here from elsewhere: those positions are still
 * to come. So was one with transactions that are still to come, where the host does not say which system this is
 * (`sync.ensure_epoch`).
 */
async function answerFor(client: pg.Client, slot: string | undefined, gap: boolean): Promise<void> {
  await client.query('begin')
  try {
    let horizon = ''
    if (slot !== undefined) {
      await client.query('update sync.settings set slot_pending = false')
      // Those of other slots too: this database had them under another name, or in another cluster.
      await client.query('delete from sync_capture')
      const { foreign } = await one<{ foreign: boolean }>(
        client,
        'select exists (select from sync_changes where xid >= (select pg_current_xact_id())) as foreign',
      )
      const { entries } = await one<{ entries: string }>(
        client,
        foreign
          ? `select '0' as entries, sync.forget_log()`
          : `select sync.forget_after((confirmed_flush_lsn - '0/0')::bigint)::text as entries from pg_replication_slots where slot_name = $1`,
        foreign ? [] : [slot],
      )
      if (entries !== '0') horizon = ', pruned_through_seq = 0'
      gap ||= foreign || entries !== '0'
    }
    if (gap) await client.query(`update sync_heads set epoch = gen_random_uuid()::text, updated_at = now()${horizon}`)
    await client.query('commit')
  } catch (error) {
    await client.query('rollback').catch(() => undefined)
    throw error
  }
}

async function one<R extends object>(client: pg.Client, sql: string, values: readonly unknown[] = []): Promise<R> {
  const { rows } = await client.query<R>(sql, [...values])
  const [row] = rows
  if (!row) throw new Error('sync.settings is empty, or the slot is gone: run `npx tidewire doctor`.')
  return row
}
