import { syncConflicts } from '../entities/sync/sync-conflicts.ts'
import { pageLimit, pageSize, Repository, type RepositoryParts } from './repository.ts'

export interface LogEntry {
  readonly seq: number
  readonly ordinal: number
  readonly table: string
  readonly rowId: string | null
  readonly op: string
  readonly channel: string
}

export interface LogHead {
  readonly epoch: string | null
  /** Of the newest commit in the log; 0 while it is empty. */
  readonly seq: number
  readonly prunedThroughSeq: number
}

/** The change log, and the conflicts that writes have left. */
export class SyncRepository extends Repository<typeof syncConflicts> {
  constructor(parts: RepositoryParts) {
    super(parts, syncConflicts)
  }

  async head(): Promise<LogHead> {
    const [head] = await this.parts.query<LogHead & object>({
      text: `select (select epoch from sync_heads) as epoch, coalesce((select max(seq) from sync_changes), 0)::float8 as seq,
        coalesce((select pruned_through_seq from sync_heads), 0)::float8 as "prunedThroughSeq"`,
    })
    return head ?? { epoch: null, seq: 0, prunedThroughSeq: 0 }
  }

  /** What happened in a channel after a commit, in commit order; at most `limit` entries, 1 to 1,000. */
  async changes(channel: string, after: number, limit = 100): Promise<readonly LogEntry[]> {
    return this.parts.query<LogEntry & object>({
      text: `select seq::float8 as seq, ordinal, table_name as "table", row_id as "rowId", op, channel from sync_changes
        where channel = $1 and seq > $2 and ($4::uuid is null or organization_id is null or organization_id = $4)
        order by seq, ordinal limit $3`,
      values: [channel, after, pageSize(limit), this.parts.actor.organizationId ?? null],
    })
  }

  /** Ids of the open conflicts about a row, a thousand at most. */
  async openConflicts(table: string, rowId: string): Promise<readonly string[]> {
    const { rows } = await this.list({ where: { tableName: table, rowId, status: 'open' }, limit: pageLimit })
    return rows.map(({ id }) => id)
  }
}
