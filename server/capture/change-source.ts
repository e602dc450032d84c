import type { Seq } from '../../protocol/seq.ts'
import type { SqlQuery } from '../scope/sql-query.ts'
import type { CountedPool } from '../telemetry/telemetry.ts'

/** Where in the WAL a snapshot was taken, in bytes. */
export interface WalPlace {
  /** Durable up to here. */
  readonly flushed: number
  /** Written up to here: no commit that the snapshot sees lies beyond. */
  readonly inserted: number
  /**
   * Which run of Postgres, by the time of its start: places can be compared within one only, for a backup may have been
   * put in between.
   */
  readonly run: string
}

/**
 * A commit as its entries in the log are or will be, by the server that writes them. `xid`: the lower half of the
 * transaction's id; `at`: seconds since 1970.
 */
export interface RecentCommit {
  readonly point: { readonly seq: Seq; readonly xid: number; readonly at: number }
  readonly keys: readonly {
    readonly organizationId: string | null
    readonly channel: string
    readonly oldChannel: string | null
    readonly table: string
    readonly rowId: string | null
    readonly op: 'upsert' | 'delete' | 'reset' | 'mark'
    readonly origin: { readonly mutation_id: string | null; readonly origin_device_id: string | null }
  }[]
}

/**
 * Where commits become entries of the change log `sync_changes`: keys only, in commit order. Two ways exist: triggers
 * that write the log inside the users' own transactions (`trigger-source.ts`), and logical replication, where the log
 * is written after the commit. Readers of the log need not know which; `settle` is what makes both safe:
 *
 * - C1 after `settle(S)` every commit visible in snapshot S is in the log as the returned query sees it;
 * - C2 entries of commits not visible in S may be there too; readers stop before the first of them;
 * - C3 wake-ups are hints: they may come late, twice, or for nothing. The log is the truth.
 */
export interface ChangeSource {
  /**
   * The log is written after the commits, so one that a snapshot holds may name commits that it does not see (a
   * transaction counts as committed a moment after its commit can be read). Absent: the log is part of each commit.
   */
  readonly logsAfterCommit?: true
  /**
   * Begins to call `onCommits` soon after commits, with the position of the newest where it is known. Resolves when
   * commits from now on will be noticed.
   */
  start(onCommits: (newest?: Seq) => void): Promise<void>
  /** Says that a commit has just been made by this process: spares the wait for the next poll. */
  wake(): void
  /**
   * Waits until everything visible in the snapshot of `snapshot` (a query function inside an open REPEATABLE READ
   * transaction), which was taken before `place`, is in the log. Returns the query function to read the log with: the
   * same when the log is part of the snapshot, another one when the log was written later than the snapshot was taken.
   */
  settle(snapshot: SqlQuery, place: WalPlace): Promise<SqlQuery>
  /**
   * All commits after a position that were read from the WAL so far, where it has them in memory, in order and without
   * a gap; undefined: the log has to be read. `epoch`: of the snapshot that they are for. After `settle` nothing that
   * the snapshot sees is missing at their end; before, something may be, and of those that are there some may not be in
   * the log yet. Absent: it never has any.
   */
  recent?(from: Seq, epoch: string): readonly RecentCommit[] | undefined
  /** The newest position in the log. */
  head(): Promise<Seq>
  /**
   * Whether this server writes the log or follows another one that does. Absent: nobody does, the log is part of each
   * commit.
   */
  readonly role?: 'writer' | 'follower'
  /** Its own connections, for metrics. Absent: it has none. */
  readonly pool?: CountedPool
  /**
   * Looks whether every commit still comes, and begins anew where it may not have. False: something may be missing, and
   * nobody may be told to be current. Absent: nothing but the schema could be amiss.
   */
  inspect?(): Promise<boolean>
  /** Leaves the log to another server at once, and follows it until `stop`. */
  retire?(): Promise<void>
  stop(): Promise<void>
}

/**
 * How servers tell each other of the log beside the database. Only hints: what is told may be lost, and the log is
 * looked at all the same.
 */
export interface LogNews {
  tell(text: string): boolean
  /** Returns how to stop. */
  hear(listener: (text: string) => void): () => void
}
