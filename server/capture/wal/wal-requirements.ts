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
  readonly capture: 'trigger' | 'wal'
}

interface SlotState {
  readonly active: boolean
  readonly status: string | null
  readonly held: string
}

interface TableState {
  readonly name: string
  readonly identity: string | null
  readonly identified: boolean
  readonly published: boolean
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
  (select capture from sync.settings) as capture`

const slotSql = `
select active, wal_status as status, pg_size_pretty(pg_current_wal_lsn() - confirmed_flush_lsn) as held
from pg_replication_slots where slot_name = $1`

/** What capture from the WAL needs, each with what was found. Reads only. */
export async function walRequirements(pool: pg.Pool): Promise<readonly WalFinding[]> {
  const [standing] = (await pool.query<Standing>(standingSql)).rows
  if (!standing) return []
  const { publication, slot } = captureNames(standing.database)
  const [state] = (await pool.query<SlotState>(slotSql, [slot])).rows
  const tables = (await pool.query<TableState>('select * from sync.captured_tables($1)', [publication])).rows
  return [
    ...rights(standing, state),
    slotFinding(slot, standing, state),
    keptFinding(standing),
    ...tableFindings(publication, tables),
    {
      what: 'capture',
      ok: true,
      found: standing.capture === 'wal' ? 'from the WAL' : 'by triggers until a server starts with CAPTURE=wal',
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

function slotFinding(slot: string, { capture }: Standing, state: SlotState | undefined): WalFinding {
  const lost = state?.status === 'lost'
  return {
    what: 'replication slot',
    ok: state ? !lost : capture === 'trigger',
    found: !state
      ? `${slot} does not exist${capture === 'wal' ? ', though changes are captured by it' : ' yet'}`
      : `${slot}, ${state.active ? 'in use' : 'nobody reads it'}, ${lost ? 'lost' : `holds ${state.held} of WAL`}`,
    fix: lost
      ? `SELECT pg_drop_replication_slot('${slot}'); the server makes a new one, and replicas start over. Raise max_slot_wal_keep_size.`
      : 'Start the server: it makes the slot, and replicas start over.',
    made: true,
  }
}

function tableFindings(publication: string, tables: readonly TableState[]): readonly WalFinding[] {
  const unfit = tables.filter(({ identity, identified }) => !identified && identity === null)
  const waiting = tables.filter(({ published, identified }) => !published || !identified)
  const [example] = unfit
  return [
    {
      what: 'replica identity',
      ok: unfit.length === 0,
      found:
        unfit.length === 0
          ? `${tables.length} tables have (id, channel)`
          : `no unique index on (id, channel): ${unfit.map(({ name }) => name).join(', ')}; captured by trigger meanwhile`,
      fix: `ALTER TABLE "${example?.name ?? ''}" ADD UNIQUE (id, channel);`,
      made: true,
    },
    {
      what: 'publication',
      ok: true,
      found:
        waiting.length === 0
          ? `${publication} has all ${tables.length} tables`
          : `${publication} gets ${waiting.length} tables at the next start`,
      fix: 'Start the server.',
      made: true,
    },
  ]
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
