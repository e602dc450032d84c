/** What `log-reader.ts` asks of the database, answered from commits that the log's writer still has in memory. */
import type { RecentCommit } from '../capture/change-source.ts'
import { toSeq, type Seq } from '../../protocol/seq.ts'
import { Fold } from './fold.ts'

/** Where a snapshot ends in the log. */
export interface SnapshotEnd {
  /** The last commit before the first that it does not see. */
  readonly to: Seq
  /** There are more, which will soon be visible. */
  readonly pending: boolean
  /** The newest commit that it sees; beyond `to`, its rows may be newer than that. */
  readonly sees: Seq
}

/** Where a snapshot ends among the commits after a position. */
export function recentEnd(commits: readonly RecentCommit[], snapshot: string, from: Seq): SnapshotEnd {
  const sees = sightOf(snapshot)
  const hidden = commits.findIndex(({ point }) => !sees(point.xid))
  const last = commits.at(hidden === -1 ? -1 : hidden - 1)
  const to = hidden === 0 || !last ? from : toSeq(Math.max(from, last.point.seq))
  const newest = hidden === -1 ? undefined : commits.slice(hidden).findLast(({ point }) => sees(point.xid))
  return { to, pending: hidden !== -1, sees: newest?.point.seq ?? to }
}

/** Folds the entries up to `to`. Undefined: more than `maxKeys` rows were touched. */
export function foldRecent(
  commits: readonly RecentCommit[],
  to: Seq,
  organizations: ReadonlySet<string> | null,
  maxKeys: number,
): Fold | undefined {
  const fold = new Fold()
  for (const { point, keys } of commits) {
    if (point.seq > to) break
    for (const entry of keys) {
      if (organizations && entry.organizationId !== null && !organizations.has(entry.organizationId)) continue
      const { origin, ...key } = entry
      fold.add({ ...key, seq: point.seq, mutationId: origin.mutation_id, deviceId: origin.origin_device_id })
    }
  }
  return fold.size > maxKeys ? undefined : fold
}

/**
 * Whether a snapshot (xmin:xmax:xip,…) sees a transaction that has committed, by the lower half of its id:
 * `pg_visible_in_snapshot`. The whole id is the one nearest to xmax, since nobody is two billion transactions behind.
 */
function sightOf(snapshot: string): (half: number) => boolean {
  const [xmin = 0, xmax = 0] = snapshot.split(':', 2).map(Number)
  const running = new Set((snapshot.split(':')[2] ?? '').split(',').filter(Boolean).map(Number))
  return (half) => {
    const xid = half + Math.round((xmax - half) / 2 ** 32) * 2 ** 32
    return xid < xmin || (xid < xmax && !running.has(xid))
  }
}
