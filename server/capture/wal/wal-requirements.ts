import type pg from 'pg'
import { TideError } from '../../../protocol/error.ts'
import { databaseTrouble } from '../../db/db.ts'
import { errorText } from '../../telemetry/telemetry.ts'
import { captureNames } from './capture-names.ts'

/** One thing that capture from the WAL needs. `fix` is the statement that mends it. */
export interface WalFinding {
  readonly what: string
  readonly ok: boolean
  readonly found: string
  readonly fix: string
  /** The server makes it itself at its next start, unless something else is missing. */
  readonly made: boolean
}

/** How changes are captured now. */
type Capture = 'trigger' | 'wal'

interface Standing {
  readonly database: string
  readonly role: string
  readonly level: string
  readonly senders: number
  readonly senders_used: number
  readonly slots: number
  readonly slots_used: number
  readonly may_replicate: boolean
  readonly may_create: boolean
  readonly owns: boolean
  readonly keep: string
  readonly migrated: boolean
}

/** Of the slot, as `pg_replication_slots` says. */
export interface SlotState {
  readonly active: boolean
  readonly status: string | null
  readonly held: string
}

interface TableState {
  readonly name: string
  readonly identity: string | null
  readonly identified: boolean
  readonly published: boolean
  /** Its triggers still write keys: nothing of it is missed. */
  readonly listens: boolean
}

interface PublicationState {
  /** It tells of all kinds of changes. */
  readonly whole: boolean
  /** Tables that it publishes with a filter, or without their keys. */
  readonly distorted: readonly string[]
}

const standingSql = `
select current_database() as database, current_user::text as role, current_setting('wal_level') as level,
  current_setting('max_wal_senders')::integer as senders, (select count(*)::integer from pg_stat_replication) as senders_used,
  current_setting('max_replication_slots')::integer as slots, (select count(*)::integer from pg_replication_slots) as slots_used,
  (select rolreplication or rolsuper from pg_roles where rolname = current_user)
    or exists (select from pg_roles where rolname = 'rds_replication' and pg_has_role(oid, 'usage')) as may_replicate,
  current_setting('max_slot_wal_keep_size') as keep,
  has_database_privilege(current_database(), 'create') as may_create,
  not exists (
    select from pg_trigger t join pg_class c on c.oid = t.tgrelid
    where t.tgname = 'capture_truncate' and c.relnamespace = 'public'::regnamespace and not pg_has_role(c.relowner, 'usage')
  ) as owns,
  to_regclass('sync.settings') is not null as migrated`

const captureSql = 'select capture from sync.settings'

const slotSql = `
select active, wal_status as status, pg_size_pretty(pg_current_wal_lsn() - confirmed_flush_lsn) as held
from pg_replication_slots where slot_name = $1`

const publicationSql = `
select pubinsert and pubupdate and pubdelete and pubtruncate as whole, array(select sync.distorted_tables(pubname::text)) as distorted
from pg_publication where pubname = $1`

/** What capture from the WAL needs, each with what was found. Reads only. */
export async function walRequirements(pool: pg.Pool): Promise<readonly WalFinding[]> {
  const [standing] = (await pool.query<Standing>(standingSql)).rows
  if (!standing) return []
  const { publication, slot } = captureNames(standing.database)
  // Before the first migration: what is refused then would be refused after it.
  if (!standing.migrated) return [...rights(standing, undefined), keptFinding(standing)]
  const [{ capture } = { capture: 'trigger' as const }] = (await pool.query<{ capture: Capture }>(captureSql)).rows
  const [state] = (await pool.query<SlotState>(slotSql, [slot])).rows
  const [published] = (await pool.query<PublicationState>(publicationSql, [publication])).rows
  const tables = (await pool.query<TableState>('select * from sync.captured_tables($1)', [publication])).rows
  return [
    ...rights(standing, state),
    slotFinding(slot, capture, state),
    keptFinding(standing),
    identityFinding(tables, capture),
    publicationFinding(publication, { tables, published, capture }),
    {
      what: 'capture',
      ok: true,
      found: capture === 'wal' ? 'from the WAL' : 'by triggers until a server starts with CAPTURE=wal',
      fix: 'Start the server.',
      made: true,
    },
  ]
}

/** Not a fault: without a limit a slot that nobody reads fills the disk, with one it is lost. */
function keptFinding({ keep }: Standing): WalFinding {
  return {
    what: 'max_slot_wal_keep_size',
    ok: true,
    found: keep === '-1' ? 'no limit: while no server runs, the slot keeps all WAL' : keep,
    fix: `ALTER SYSTEM SET max_slot_wal_keep_size = '8GB'; SELECT pg_reload_conf();`,
    made: true,
  }
}

function rights(standing: Standing, slot: SlotState | undefined): readonly WalFinding[] {
  const { database, role, level, senders, senders_used, slots, slots_used } = standing
  const made = false
  return [
    {
      what: 'wal_level',
      ok: level === 'logical',
      found: level,
      fix: `ALTER SYSTEM SET wal_level = 'logical'; then restart Postgres (or set CAPTURE=trigger). Amazon RDS: rds.logical_replication = 1; Cloud SQL: cloudsql.logical_decoding = on.`,
      made,
    },
    {
      what: 'replication right',
      ok: standing.may_replicate,
      found: standing.may_replicate ? `${role} has it` : `${role} lacks it`,
      fix: `ALTER ROLE "${role}" REPLICATION; (on Amazon RDS: GRANT rds_replication TO "${role}";)`,
      made,
    },
    {
      what: 'right to publish',
      ok: standing.may_create && standing.owns,
      found: standing.may_create && standing.owns ? `${role} has it` : `${role} lacks it`,
      fix: standing.may_create
        ? `Connect as the owner of the tables, or GRANT its role to "${role}".`
        : `GRANT CREATE ON DATABASE "${database}" TO "${role}";`,
      made,
    },
    {
      what: 'max_wal_senders',
      ok: slot?.active === true || senders_used < senders,
      found: `${senders_used} of ${senders} in use`,
      fix: `ALTER SYSTEM SET max_wal_senders = ${Math.max(10, senders + 5)}; then restart Postgres.`,
      made,
    },
    {
      what: 'max_replication_slots',
      ok: slot !== undefined || slots_used < slots,
      found: `${slots_used} of ${slots} in use`,
      fix: `ALTER SYSTEM SET max_replication_slots = ${Math.max(10, slots + 5)}; then restart Postgres.`,
      made,
    },
  ]
}

/** `unreserved`: Postgres will remove what the slot needs at its next checkpoint. */
export function slotFinding(slot: string, capture: Capture, state: SlotState | undefined): WalFinding {
  const [lost, endangered] = [state?.status === 'lost', state?.status === 'unreserved']
  const use = state?.active ? 'in use' : 'nobody reads it'
  return {
    what: 'replication slot',
    ok: state ? !lost && !endangered : capture === 'trigger',
    found: !state
      ? `${slot} does not exist${capture === 'wal' ? ', though changes are captured by it' : ' yet'}`
      : lost
        ? `${slot}, ${use}, lost`
        : `${slot}, ${use}, holds ${state.held} of WAL${endangered ? ', more than it may: it is lost at the next checkpoint' : ''}`,
    fix: lost
      ? `SELECT pg_drop_replication_slot('${slot}'); the server makes a new one, and replicas start over. Raise max_slot_wal_keep_size.`
      : endangered
        ? `ALTER SYSTEM SET max_slot_wal_keep_size = '-1'; SELECT pg_reload_conf(); then start a server, or end the transaction that it waits for.`
        : 'Start the server: it makes the slot, and replicas start over.',
    made: true,
  }
}

/** Where changes are captured from the WAL already, and the triggers rest: nothing else tells of the table. */
function unwitnessed(tables: readonly TableState[], capture: Capture): readonly TableState[] {
  return capture === 'wal' ? tables.filter(({ listens }) => !listens) : []
}

function identityFinding(tables: readonly TableState[], capture: Capture): WalFinding {
  const what = 'replica identity'
  const unfit = tables.filter(({ identity, identified }) => !identified && identity === null)
  const changed = unwitnessed(tables, capture).filter(({ identified }) => !identified)
  const [without, other] = [unfit[0], changed.find(({ identity }) => identity !== null)]
  if (without)
    return {
      what,
      ok: false,
      found: `no unique index on (id, channel): ${unfit.map(({ name }) => name).join(', ')}; captured by trigger meanwhile`,
      fix: `ALTER TABLE "${without.name}" ADD UNIQUE (id, channel);`,
      made: true,
    }
  return {
    what,
    ok: other === undefined,
    found: other
      ? `not (id, channel): ${changed.map(({ name }) => name).join(', ')}; the WAL does not say which channel a row left`
      : `${tables.length} tables have (id, channel)`,
    fix: `ALTER TABLE "${other?.name ?? ''}" REPLICA IDENTITY USING INDEX "${other?.identity ?? ''}"; the server notices, and replicas start over.`,
    made: true,
  }
}

interface Published {
  readonly tables: readonly TableState[]
  readonly published: PublicationState | undefined
  readonly capture: Capture
}

function publicationFinding(name: string, { tables, published, capture }: Published): WalFinding {
  const finding = { what: 'publication', ok: false, made: true } as const
  const over = 'the server notices, and replicas start over.'
  const waiting = tables.filter((table) => !table.published || !table.identified).length
  if (!published && capture === 'wal')
    return {
      ...finding,
      found: `${name} does not exist, though changes are captured by it`,
      fix: `CREATE PUBLICATION "${name}"; the server fills it and makes a new slot, and replicas start over.`,
    }
  if (published && !published.whole)
    return {
      ...finding,
      found: `${name} leaves out some kinds of changes`,
      fix: `ALTER PUBLICATION "${name}" SET (publish = 'insert, update, delete, truncate'); ${over}`,
    }
  const [distorted] = published?.distorted ?? []
  if (distorted !== undefined)
    return {
      ...finding,
      found: `${name} has a filter, or not all key columns, for ${published?.distorted.join(', ')}`,
      fix: `ALTER PUBLICATION "${name}" DROP TABLE "${distorted}"; SELECT sync.publish_table('${name}', '${distorted}'); ${over}`,
    }
  const robbed = unwitnessed(tables, capture).filter((table) => !table.published)
  const [missing] = robbed
  if (missing)
    return {
      ...finding,
      found: `${name} lacks ${robbed.map((table) => table.name).join(', ')}`,
      fix: `SELECT sync.publish_table('${name}', '${missing.name}'); ${over}`,
    }
  return {
    ...finding,
    ok: true,
    found:
      waiting === 0 ? `${name} has all ${tables.length} tables` : `${name} gets ${waiting} tables at the next start`,
    fix: 'Start the server.',
  }
}

/** Throws `capture_unavailable` with what is missing and the statement that mends it. */
export async function requireWal(pool: pg.Pool): Promise<void> {
  const missing = (await walRequirements(pool)).filter(({ ok, made }) => !ok && !made)
  if (missing.length === 0) return
  throw new TideError(
    'capture_unavailable',
    `Changes cannot be captured from the WAL:\n${missing.map(({ what, found, fix }) => `  ${what}: ${found}\n    → ${fix}`).join('\n')}`,
  )
}

/** Why the slot is not read, with a code. */
export function toTrouble(error: unknown): TideError {
  if (error instanceof TideError) return error
  return (
    databaseTrouble(error) ??
    new TideError('capture_unavailable', `Changes cannot be captured from the WAL: ${errorText(error)}`, {
      cause: error,
      remedy: 'Run `npx tidewire doctor`: it names what is missing.',
    })
  )
}
