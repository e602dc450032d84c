import type { PackedBlock } from '../../protocol/rows/block.ts'
import type { RangeSum } from '../../protocol/rows/verify.ts'
import type { Filter } from '../../protocol/rows/filter.ts'
import type { Seq } from '../../protocol/seq.ts'
import type { ReadRow } from '../db/row-bytes.ts'
import type { Access } from '../scope/access.ts'
import type { DevicePrincipal } from '../scope/principal.ts'

/**
 * What the hub reads: the change log and the rows, always from one snapshot per call. `sql-feed.ts` is the database;
 * simulations have one in memory.
 *
 * Consistency a feed must give: everything in one answer is of one snapshot, and snapshots do not go back: an `advance`
 * called after another one has answered sees at least as much. `to` is the end of a commit, and every commit at or
 * before `to` is in the snapshot, and no other is.
 */
export interface Feed {
  /**
   * Where the database stands. When its head is before `sought`, a commit that was told to somebody, it is asked of a
   * log that holds all which is visible now: rejects with `timeout` when the log does not get there.
   */
  state(sought?: Seq): Promise<FeedState>
  /**
   * What changed after `from`, folded to the newest state per key. `tooFar` when that is more than a batch may hold.
   */
  advance(from: Seq, request: AdvanceRequest): Promise<Step | TooFar>
  /** One page of all rows that a channel carries. */
  page(request: PageRequest): Promise<PageResult>
  access(principal: DevicePrincipal): Promise<AccessAnswer>
}

/**
 * Orders snapshots: of two, the one with the greater number sees more, and equal numbers see the same. Answers arrive
 * in another order than their snapshots were taken in; what a session may see is what the latest snapshot says.
 */
export type Moment = number

export interface AccessAnswer {
  readonly access: Access
  readonly moment: Moment
}

export interface FeedState {
  readonly epoch: string
  /** Epochs that this one goes on from, and where each of them ended: a cursor not beyond that is of this history. */
  readonly former: ReadonlyMap<string, Seq>
  /** Position of the newest commit. */
  readonly head: Seq
  /** Entries at or before this are gone; a cursor must not be older. */
  readonly prunedThrough: Seq
}

export interface AdvanceRequest {
  /** Changes of other organizations are left out; changes without organization always come. Null: all. */
  readonly organizations: ReadonlySet<string> | null
  /** Whether anybody follows this channel: other changes are left out. */
  readonly follows: (channel: string) => boolean
  /** Whether anybody follows this table in a channel; asked of many changes at once. Absent: as `follows`. */
  readonly followsTable?: (channel: string, table: string) => boolean
  /** Changes of `accessColumns` tables come in any case, for `principals` to look at. */
  readonly watchAccess: boolean
  /** Whether vector columns are read. */
  readonly embeddings: boolean
  /** Whose access to evaluate in the snapshot, given what changed. */
  readonly principals: (changes: readonly Change[]) => readonly DevicePrincipal[]
  /** Also counts and hashes all rows of this selection, in the same snapshot. */
  readonly verify?: Selection
  /** The answer has to be as of a time after the call: it is read in a snapshot. */
  readonly timed?: boolean
}

/** All rows that `channel` carries of `tables`, for a session in `organizationId`. */
export interface Selection {
  readonly organizationId: string
  readonly channel: string
  /** SQL names of synced tables, in the order of the pages. */
  readonly tables: readonly string[]
  readonly where: Readonly<Record<string, Filter>>
  readonly embeddings: boolean
}

export interface Step {
  readonly kind: 'step'
  /** Of the snapshot. Absent: it cannot change while the feed is open. */
  readonly epoch?: string
  readonly from: Seq
  readonly to: Seq
  /** There are commits after `to` that were not yet visible: ask again soon, nobody else will say. */
  readonly pending?: boolean
  /**
   * The snapshot sees commits beyond one that it does not see: nothing was read but access, and `at` says nothing. Ask
   * again soon.
   */
  readonly torn?: true
  /** Server time of the snapshot, milliseconds since 1970. */
  readonly at: number
  readonly moment: Moment
  readonly embeddings: boolean
  /** One per key, ordered by `seq`. */
  readonly changes: readonly Change[]
  /** Of the rows that were read for it, as they came from the database. */
  readonly bytes: number
  /** Sub-channels that no longer hang under some channels. */
  readonly departures: readonly Departure[]
  /** Client writes whose commits are in the step. */
  readonly marks: readonly Mark[]
  /** Tables that were truncated. */
  readonly resets: readonly string[]
  /** Users and agents whose access tokens or sign-ins changed. */
  readonly credentials: readonly string[]
  /** The step holds a sign of life (`sync.mark_canary()`). */
  readonly canary: boolean
  /** When the newest sign of life was committed, by the clock of `at`; known in the live loop only. */
  readonly canaryAt?: number
  /** Answers for the asked principals, by the object given. */
  readonly access: ReadonlyMap<DevicePrincipal, Access>
  readonly verified: readonly VerifiedTable[] | null
}

export interface TooFar {
  readonly kind: 'too_far'
  readonly moment: Moment
  readonly epoch?: string
  readonly from: Seq
  readonly to: Seq
  readonly pending?: boolean
}

/** The newest state of one row. */
export interface Change {
  /** The last commit that touched it. */
  readonly seq: Seq
  readonly table: string
  readonly id: string
  readonly organizationId: string | null
  /** As of the snapshot; null: the row is gone, or nobody follows one of its homes. */
  readonly row: ReadRow | null
  /** Followable channels that carry the row as of the snapshot: its own, or those its sub-channel hangs under. */
  readonly homes: readonly string[]
  /** Followable channels that carried it at some time after `from`, and do not now. */
  readonly formerHomes: readonly string[]
  /** Nobody can hold the row from before the step, so that a filter that does not match needs no delete. */
  readonly fresh: boolean
  /**
   * The row is gone and where it lived cannot be told: the delete (a key, no values) goes to its whole organization.
   */
  readonly everywhere: boolean
}

/** A parent moved, or a grant ended: followers of `left` who follow none of `homes` no longer see the sub-channel. */
export interface Departure {
  readonly channel: string
  readonly organizationId: string | null
  readonly left: readonly string[]
  readonly homes: readonly string[]
}

export interface Mark {
  readonly deviceId: string
  readonly mutationId: string
}

export interface VerifiedTable {
  readonly table: string
  readonly ranges: readonly RangeSum[]
}

export interface PageRequest {
  readonly selection: Selection
  /** `next` of the page before; null for the first. */
  readonly after: string | null
  readonly maxRows: number
  /** What its blocks are meant to stay near. */
  readonly maxBytes: number
}

export interface PageResult {
  /**
   * A commit that the snapshot of this page sees, with all before it: what came later has to be read once the pages are
   * there.
   */
  readonly from: Seq
  /** The newest commit that it sees: what completes the pages must not end before. */
  readonly shows: Seq
  /** None is empty. Their bytes belong to whoever asked. */
  readonly blocks: readonly PackedBlock[]
  /** In all blocks. */
  readonly rows: number
  readonly next: string | null
}
