import { TideError } from '../../protocol/error.ts'
import { toSeq, zeroSeq, type Seq } from '../../protocol/seq.ts'
import type { ChangeSource, RecentCommit } from '../capture/change-source.ts'
import type { SqlQuery } from '../scope/sql-query.ts'
import { endOfFormer, visibleHead } from './log-reader.ts'
import { recentEnd, type SnapshotEnd } from './recent-log.ts'
import type { Snapshot } from './snapshot.ts'

/** A commit that a snapshot has seen, in one run of Postgres. */
export interface Floor {
  readonly run: string
  readonly seq: Seq
}

export interface SettledEnd extends SnapshotEnd {
  /** Reads a log that holds all that the snapshot sees. */
  readonly log: SqlQuery
  /** That log's end, where it is in memory. */
  readonly recent: readonly RecentCommit[] | undefined
}

/**
 * Where snapshots end in the log: the newest commit of which it is certain that a snapshot sees it and all before it. A
 * log that is written after the commits may lack some that the snapshot sees, and hold others that it does not see.
 */
export class SnapshotEnds {
  readonly #source: ChangeSource
  #seen: Floor = { run: '', seq: zeroSeq }

  constructor(source: ChangeSource) {
    this.#source = source
  }

  /** The newest commit that a snapshot has seen: what one saw, all later ones of the same run of Postgres see. */
  get seen(): Floor {
    return this.#seen
  }

  /** After `from`, in a log that holds all that the snapshot sees. Throws `timeout` when the log does not get there. */
  async settled(snap: Snapshot, from: Seq): Promise<SettledEnd> {
    const log = await this.#source.settle(snap.query, snap.place)
    const recent = this.#source.recent?.(from, snap.epoch)
    const end = recent
      ? this.passed(recentEnd(recent, snap.text, from), from, snap.place.run)
      : await this.#endOf(snap, log, from)
    return { ...end, log, recent }
  }

  /**
   * In the log as it is now. `floor` is `seen` from before the snapshot was taken: a later snapshot may have raised it
   * since. Who has seen nothing of this run of Postgres begins where the run before ended: a log that is kept for ever
   * is not read from its beginning at each start.
   */
  async known(snap: Snapshot, floor: Floor, log = snap.query): Promise<SnapshotEnd> {
    const from = floor.run === snap.place.run ? floor.seq : await endOfFormer(snap.query)
    return this.#endOf(snap, log, toSeq(Math.max(from, snap.pruned)))
  }

  /**
   * Where nothing came after `from` the snapshot saw nothing: that position may be of a history that this database
   * never had.
   */
  passed<T extends { readonly to: Seq }>(end: T, from: Seq, run: Floor['run']): T {
    if (end.to > from && (this.#seen.run !== run || end.to > this.#seen.seq)) this.#seen = { run, seq: end.to }
    return end
  }

  async #endOf(snap: Snapshot, log: SqlQuery, from: Seq): Promise<SnapshotEnd> {
    // Another server began to capture from the WAL: the log is no longer part of the commits, as this source believes.
    if (!this.#source.logsAfterCommit && snap.capture === 'wal')
      throw new TideError(
        'capture_unavailable',
        'This server runs with CAPTURE=trigger, and another one has begun to capture changes from the WAL.',
      )
    if (!this.#source.logsAfterCommit) {
      const head = toSeq(Math.max(from, snap.head))
      return { to: head, pending: false, sees: head }
    }
    const end = await visibleHead(snap.text, log, from)
    // The log began anew after the snapshot was taken: what it lacks, the snapshot may see.
    if (end.epoch !== snap.epoch) throw new TideError('timeout', 'The epoch changed while the log was being read.')
    return this.passed(end, from, snap.place.run)
  }
}
