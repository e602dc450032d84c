import type pg from 'pg'
import { systemClock } from '../../lib/clock.ts'
import { systemRandom } from '../../lib/random.ts'
import { createUuidSource } from '../../lib/uuid.ts'
import { TideError } from '../../protocol/error.ts'
import type { Outcome } from '../../protocol/messages/mutation.ts'
import { createDeviceRegistry } from '../auth/auth.ts'
import type { Catalog } from '../catalog/catalog.ts'
import type { Database } from '../db/db.ts'
import { createPusher } from '../tide-server.ts'
import type { DatabaseJob } from './command.ts'
import { table, type Console } from './console.ts'

export interface ResolveOptions {
  readonly take: 'client' | 'server'
  /** E-mail address of who settles it. */
  readonly as?: string
}

interface ConflictRow {
  readonly id: string
  readonly organization_id: string
  readonly user_id: string | null
  readonly agent_id: string | null
  readonly table_name: string
  readonly row_id: string
  readonly kind: string
  readonly fields: unknown
  readonly created_at: Date
  readonly status: string
  readonly resolution: string | null
}

const columns =
  'id, organization_id, user_id, agent_id, table_name, row_id, kind, fields, created_at, status, resolution'

/** Lists what is open, oldest first. */
export async function listConflicts(database: Database, console: Console): Promise<void> {
  const { rows } = await database.pool.query<ConflictRow>(
    `select ${columns} from sync_conflicts where status = 'open' order by created_at, id limit 500`,
  )
  const text =
    rows.length === 0
      ? 'No open conflicts.'
      : table(
          ['id', 'table', 'row', 'kind', 'since', 'columns'],
          rows.map((row) => [
            row.id,
            row.table_name,
            row.row_id,
            row.kind,
            row.created_at.toISOString(),
            Object.keys(row.fields ?? {}).join(' '),
          ]),
        )
  console.answer({ conflicts: rows }, text)
}

/**
 * Settles one as its owner would, through the mutations room: with a ledger entry, and every replica hears of it. Where
 * the owner is not active any more, an owner or admin of the organization settles it, and is noted as the one who did.
 */
export async function resolveConflict(
  { database, catalog, console }: Pick<DatabaseJob, 'database' | 'catalog' | 'console'>,
  id: string,
  { take, as }: ResolveOptions,
): Promise<void> {
  const { rows } = await database.pool.query<ConflictRow>(`select ${columns} from sync_conflicts where id::text = $1`, [
    id,
  ])
  const [conflict] = rows
  if (!conflict)
    throw new TideError('not_found', `There is no conflict ${id}.`, {
      remedy: 'List the open ones with `npx tidewire conflicts`.',
    })
  if (conflict.status !== 'open') {
    throw new TideError(
      'conflict_already_resolved',
      `Conflict ${id} is ${conflict.status} (${conflict.resolution ?? 'without a side'}).`,
    )
  }
  const settler = await findSettler(database.pool, conflict, as)
  const outcome = await resolve(database, catalog, { conflict, settler, take })
  if (outcome.kind === 'rejected') {
    const { code = 'internal', message = 'The resolution was refused.', remedy = '' } = outcome.error ?? {}
    const other = 'Name somebody who sees the row and may write it: --as EMAIL.'
    throw new TideError(
      code,
      `${settler.name} cannot settle it: ${message}`,
      settler.own ? { remedy } : { remedy: other },
    )
  }
  const by = settler.own ? '' : `, by ${settler.name}`
  console.answer({ id, take, by: settler, outcome }, `Settled${by}: the ${take}'s values stand.`)
}

/** On whose behalf a conflict is settled. */
interface Settler {
  readonly kind: 'user' | 'agent'
  readonly id: string
  /** E-mail address of a user, name of an agent. */
  readonly name: string
  /** Whether it is the one whose write lost. */
  readonly own: boolean
}

/** Who is active in the organization: the conflict's own principal first, then owners, then admins. */
const settlersSql = `
select 'user' as kind, u.id, u.email as name, u.id is not distinct from $2::uuid as own
from organization_members m join users u on u.id = m.user_id and u.status = 'active' and u.deleted_at is null
where m.organization_id = $1 and m.status = 'active' and m.deleted_at is null
  and case when $4::text is null then u.id = $2 or m.role in ('owner', 'admin') else u.email = lower($4) end
union all
select 'agent', a.id, a.name, true from agents a
where a.organization_id = $1 and a.id = $3 and a.lifecycle = 'active' and a.deleted_at is null and $4 is null
order by own desc, name limit 1`

async function findSettler(pool: pg.Pool, conflict: ConflictRow, as: string | undefined): Promise<Settler> {
  const { rows } = await pool.query<Settler>(settlersSql, [
    conflict.organization_id,
    conflict.user_id,
    conflict.agent_id,
    as ?? null,
  ])
  if (rows[0]) return rows[0]
  throw new TideError(
    'not_found',
    as === undefined
      ? `Nobody in the organization of conflict ${conflict.id} is active who could settle it.`
      : `There is no active user ${as} in the organization of conflict ${conflict.id}.`,
    { remedy: 'Name somebody who is: --as EMAIL.' },
  )
}

async function resolve(
  { pool }: Database,
  catalog: Catalog,
  { conflict, settler, take }: { readonly conflict: ConflictRow; readonly settler: Settler } & ResolveOptions,
): Promise<Outcome> {
  const principal = { kind: settler.kind, id: settler.id, organizationId: conflict.organization_id }
  const device = await createDeviceRegistry({ pool, clock: systemClock, random: systemRandom }).register(principal, {
    device: {
      fingerprint: `tidewire-cli-${principal.id}`,
      name: 'tidewire command',
      kind: 'cli',
      storageEngine: 'other',
    },
    clientSeq: Number.MAX_SAFE_INTEGER,
  })
  const mutation = {
    id: createUuidSource(systemClock, systemRandom)(),
    clientSeq: device.clientSeq + 1,
    table: 'sync_conflicts',
    rowId: conflict.id,
    op: 'resolve' as const,
    set: { take },
    at: systemClock.now(),
  }
  const [outcome] = await createPusher({ pool }, { catalog }).push({ ...principal, deviceId: device.deviceId }, [
    mutation,
  ])
  if (!outcome) throw new TideError('internal', 'The resolution was not answered.')
  return outcome
}
