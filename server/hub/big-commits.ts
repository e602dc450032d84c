import type { Seq } from '../../protocol/seq.ts'
import { isSubChannel } from '../../protocol/rows/channel.ts'
import { accessColumns } from '../scope/access.ts'
import type { Homes } from '../scope/homes.ts'
import type { SqlQuery } from '../scope/sql-query.ts'
import type { AdvanceRequest } from './feed.ts'
import type { LogEntry } from './fold.ts'

/** Entries of the log, or keys of a big commit, that are read at a time. */
export const logChunk = 20_000

/**
 * `table_name` of the entry that stands for a commit whose keys are elsewhere: the log has one for each, however big it
 * is.
 */
export const bigCommitsTable = 'sync.big_commits'

/** Some keys of a big commit: how many there are of one table, channel, organization, operation and origin. */
export interface BigPart {
  readonly table: string
  readonly organizationId: string | null
  readonly channel: string
  readonly oldChannel: string | null
  readonly op: LogEntry['op']
  readonly mutationId: string | null
  readonly deviceId: string | null
  readonly keys: number
}

export interface BigCommit {
  readonly seq: Seq
  /** By these its keys are found. */
  readonly term: string
  readonly xid: string
  readonly keys: number
  /** Null: they are of too many places to say. */
  readonly parts: readonly BigPart[] | null
}

/** What a reader of the log asks for. */
export type Wanted = Pick<AdvanceRequest, 'organizations' | 'follows' | 'followsTable' | 'watchAccess'>

/**
 * Whether keys may concern whoever asks: they follow the channel, or what hangs under it cannot be told without
 * reading. A big commit that concerns nobody who asks is not read.
 */
export function mayConcern(
  { table, organizationId, channel, oldChannel, op }: BigPart,
  { organizations, follows, followsTable = follows, watchAccess }: Wanted,
  homes: Pick<Homes, 'kindOf' | 'grantedBy'>,
): boolean {
  if (organizations && organizationId !== null && !organizations.has(organizationId)) return false
  if (op === 'mark' || op === 'reset' || homes.kindOf(table) !== undefined || homes.grantedBy(table) !== undefined)
    return true
  if (watchAccess && table in accessColumns) return true
  return [channel, oldChannel].some((one) => one !== null && (isSubChannel(one) || followsTable(one, table)))
}

const commitSql = `select term::text, xid::text, keys::float8 as keys, parts from sync.big_commits where seq = $1::bigint`

interface PartRow {
  readonly table_name: string
  readonly organization_id: string | null
  readonly channel: string
  readonly old_channel: string | null
  readonly op: LogEntry['op']
  readonly mutation_id: string | null
  readonly origin_device_id: string | null
  readonly keys: number
}

/** Undefined: it has been pruned. */
export async function readBigCommit(log: SqlQuery, seq: Seq): Promise<BigCommit | undefined> {
  const [row] = await log<{ term: string; xid: string; keys: number; parts: readonly PartRow[] | null }>({
    name: 'log_big_commit',
    text: commitSql,
    values: [seq],
  })
  return row && { ...row, seq, parts: row.parts?.map(toPart) ?? null }
}

function toPart(row: PartRow): BigPart {
  return {
    table: row.table_name,
    organizationId: row.organization_id,
    channel: row.channel,
    oldChannel: row.old_channel,
    op: row.op,
    mutationId: row.mutation_id,
    deviceId: row.origin_device_id,
    keys: row.keys,
  }
}

/**
 * Keys after place $3, of some organizations and of none ($4, null: all), of some tables and channels ($5, null: all).
 */
const keysSql = `
select n::float8 as n, organization_id::text as organization, channel, old_channel, table_name, row_id::text as row_id, op,
  mutation_id::text as mutation, origin_device_id::text as device
from sync.spilled_changes
where term = $1::bigint and xid = $2::bigint and n > $3::bigint
  and ($4::uuid[] is null or organization_id is null or organization_id = any($4::uuid[]))
  and ($5::text[] is null or table_name || ' ' || channel = any($5::text[]))
order by n limit ${String(logChunk)}`

/** What the log, and the spilled keys of a big commit, have of an entry besides its place. */
export interface EntryColumns {
  readonly organization: string | null
  readonly channel: string
  readonly old_channel: string | null
  readonly table_name: string
  readonly row_id: string | null
  readonly op: LogEntry['op']
  readonly mutation: string | null
  readonly device: string | null
}

interface KeyRow extends EntryColumns {
  readonly n: number
}

/** The keys of some parts of a big commit, in order; of all where the parts are not known. */
export async function* readBigKeys(
  log: SqlQuery,
  { seq, term, xid }: BigCommit,
  organizations: readonly string[] | null,
  parts: readonly BigPart[] | null,
): AsyncGenerator<LogEntry> {
  const places = parts && [...new Set(parts.map(({ table, channel }) => `${table} ${channel}`))]
  for (let after: number | undefined = -1; after !== undefined;) {
    const rows: readonly KeyRow[] = await log<KeyRow>({
      name: 'log_big_keys',
      text: keysSql,
      values: [term, xid, after, organizations, places],
    })
    for (const row of rows) yield toEntry(seq, row)
    after = rows.length < logChunk ? undefined : rows.at(-1)?.n
  }
}

/** The entry at a place of the log. */
export function toEntry(seq: Seq, row: EntryColumns): LogEntry {
  return {
    seq,
    organizationId: row.organization,
    channel: row.channel,
    oldChannel: row.old_channel,
    table: row.table_name,
    rowId: row.row_id,
    op: row.op,
    mutationId: row.mutation,
    deviceId: row.device,
  }
}
