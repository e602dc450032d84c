import { systemClock } from '../../lib/clock.ts'
import { systemRandom } from '../../lib/random.ts'
import { createUuidSource } from '../../lib/uuid.ts'
import { TideError } from '../../protocol/error.ts'
import type { Outcome } from '../../protocol/messages/mutation.ts'
import { createDeviceRegistry } from '../auth/auth.ts'
import { loadCatalog } from '../catalog/catalog.ts'
import type { Config } from '../config.ts'
import type { Database } from '../db/db.ts'
import { createPusher } from '../server.ts'
import { table, type Console } from './console.ts'

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

/** Settles one as its owner would, through the mutations room: with a ledger entry, and every replica hears of it. */
export async function resolveConflict(
  database: Database,
  config: Config,
  id: string,
  take: 'client' | 'server',
  console: Console,
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
  const outcome = await resolve(database, config, conflict, take)
  if (outcome.kind === 'rejected') {
    throw new TideError(
      outcome.error?.code ?? 'internal',
      outcome.error?.message ?? 'The resolution was refused.',
      outcome.error ? { remedy: outcome.error.remedy } : {},
    )
  }
  console.answer({ id, take, outcome }, `Settled: the ${take}'s values stand.`)
}

async function resolve(
  database: Database,
  config: Config,
  conflict: ConflictRow,
  take: 'client' | 'server',
): Promise<Outcome> {
  const catalog = loadCatalog(undefined, { embeddingDimension: config.embedding.dimension })
  const deps = { pool: database.pool, clock: systemClock, random: systemRandom }
  const kind = conflict.user_id === null ? 'agent' : 'user'
  const principal = {
    kind,
    id: conflict.user_id ?? conflict.agent_id ?? '',
    organizationId: conflict.organization_id,
  } as const
  const fingerprint = `tidewire-cli-${principal.id}`
  const device = await createDeviceRegistry(deps).register(principal, {
    device: { fingerprint, name: 'tidewire command', kind: 'cli', storageEngine: 'other' },
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
  const [outcome] = await createPusher(database, { catalog }).push({ ...principal, deviceId: device.deviceId }, [
    mutation,
  ])
  if (!outcome) throw new TideError('internal', 'The resolution was not answered.')
  return outcome
}
