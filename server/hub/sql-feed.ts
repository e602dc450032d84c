import type pg from 'pg'
import { Batcher } from '../../lib/batcher.ts'
import { TideError } from '../../protocol/error.ts'
import { toSeq, zeroSeq, type Seq } from '../../protocol/seq.ts'
import type { ChangeSource, RecentCommit } from '../capture/change-source.ts'
import type { Catalog } from '../catalog/catalog.ts'
import { createSurvivingPool, type Database } from '../db/db.ts'
import { createBulkSocket } from '../db/row-packer.ts'
import { loadAccesses, noAccess } from '../scope/access.ts'
import { createHomes } from '../scope/homes.ts'
import type { DevicePrincipal } from '../scope/principal.ts'
import type { SqlQuery } from '../scope/sql-query.ts'
import { readChanges } from './change-reader.ts'
import type {
  AccessAnswer,
  AdvanceRequest,
  Feed,
  FeedState,
  PageRequest,
  PageResult,
  Selection,
  Step,
  TooFar,
  VerifiedTable,
} from './feed.ts'
import { canaryTime, continueFormer, foldLog, formerEpochs, visibleHead, type ToldCommit } from './log-reader.ts'
import { readPage, RowSizes } from './page-reader.ts'
import { foldRecent, recentEnd, type SnapshotEnd } from './recent-log.ts'
import { readQuickly } from './quick-step.ts'
import { RowReader } from './row-reader.ts'
import { selectionSql } from './selection-sql.ts'
import { inSnapshot, momentOf, type Snapshot } from './snapshot.ts'
import { summedColumns, sumRows } from './verify-rows.ts'

export interface SqlFeedOptions {
  readonly database: Database
  readonly source: ChangeSource
  readonly catalog: Catalog
  /** Connections of its own: users' transactions cannot keep it waiting, nor it them. */
  readonly connections?: number
  /** Milliseconds for one statement. */
  readonly deadlineMs?: number
  /** Rows touched, above which a client must bootstrap. */
  readonly maxKeys?: number
}

const silentMs = 2000

export interface SqlFeed extends Feed {
  /** Its own connections, for metrics. */
  readonly pool: Pick<pg.Pool, 'totalCount' | 'idleCount' | 'waitingCount' | 'options'>
  close(): Promise<void>
}

interface Floor {
  readonly run: string
  readonly seq: Seq
}

/** Where the last step of the live loop ended that was read in a snapshot, of which database, and the time as of which it saw everything. */
interface Settled extends Floor {
  readonly epoch: string
  readonly at: number
}

/** For rows that are found in the channels which they name. */
const unasked: SqlQuery = () => Promise.reject(new Error('A quick step resolves no channels.'))

/** The feed over Postgres or the embedded database. */
export function createSqlFeed(options: SqlFeedOptions): SqlFeed {
  const { database, source, catalog, connections = 4, deadlineMs = 10_000, maxKeys = 250_000 } = options
  const pool = createSurvivingPool({
    ...database.connection,
    max: connections,
    stream: createBulkSocket,
    // Postgres ends what takes too long; if it is gone without a word, this does.
    query_timeout: deadlineMs + silentMs,
  })
  database.observe(pool)
  const homes = createHomes(catalog)
  const sizes = new RowSizes()
  /** The newest commit that a snapshot has seen, and in which run of Postgres: what one saw, all later ones of the run see. */
  let seen: Floor = { run: '', seq: zeroSeq }
  let settled: Settled = { run: '', seq: zeroSeq, epoch: '', at: 0 }
  /** The newest commit that was told before it was known to be in the log. */
  let told: ToldCommit | undefined
  const snapshot = <T>(read: (snapshot: Snapshot) => Promise<T>): Promise<T> => inSnapshot(pool, deadlineMs, read)
  const access = new Batcher<DevicePrincipal, AccessAnswer>((principals) =>
    snapshot(async ({ query, moment }) => {
      const found = await loadAccesses(query, principals)
      return principals.map((principal) => ({ access: found.get(principal) ?? noAccess, moment }))
    }),
  )

  async function advance(from: Seq, request: AdvanceRequest): Promise<Step | TooFar> {
    return (await quickStep(from, request)) ?? (await fullStep(from, request))
  }

  /** A step of the live loop that needs no snapshot, from where the last one ended that had one. */
  async function quickStep(from: Seq, request: AdvanceRequest): Promise<Step | undefined> {
    const { epoch, run, at } = settled
    const recent = request.watchAccess && from >= settled.seq ? source.recent?.(from, epoch) : undefined
    const read = recent && (await readQuickly(recent, from, request, { pool, catalog, homes }))
    if (!read || read.epoch !== epoch || read.run !== run) return undefined
    const { to, pending, fold, rows } = read
    passed(read, from, run)
    const newest = recent.findLast(({ point }) => point.seq <= to)
    if (newest) told = { epoch, ...newest.point }
    const found = await readChanges(fold.keys(), request, { catalog, homes, rows, query: unasked, maxKeys })
    if (!found) return undefined
    const { marks, resets, credentials, canary } = fold
    const { embeddings } = request
    const moment = momentOf(read.snapshot)
    const said = { marks, resets, credentials, canary, verified: null, access: new Map() }
    return { kind: 'step', epoch, from, to, pending, at, moment, embeddings, ...found, ...said }
  }

  async function fullStep(from: Seq, request: AdvanceRequest): Promise<Step | TooFar> {
    return snapshot(async (snap) => {
      const { log, recent, to, pending, sees } = await settledEnd(snap, from)
      if (sees > to) return tornStep(snap, from, request)
      // What is gone was seen by this snapshot: who is told to go on from `to` is not too far behind again.
      const beyond = { kind: 'too_far', epoch: snap.epoch, from, pending, moment: snap.moment } as const
      if (from < snap.pruned) return { ...beyond, to: toSeq(Math.max(to, snap.pruned)) }
      const fold = recent
        ? foldRecent(recent, to, request.organizations, maxKeys)
        : await foldLog(log, { ...request, from, to, homes, maxKeys })
      const read =
        fold &&
        (await readChanges(fold.keys(), request, {
          catalog,
          homes,
          rows: rowReader(snap, request.embeddings),
          query: snap.query,
          maxKeys,
        }))
      if (!fold || !read) return { ...beyond, to }
      const canaryAt = fold.canary && request.watchAccess ? await canaryTime(log, to) : undefined
      const verified = request.verify ? await verify(snap, request.verify) : null
      if (request.watchAccess) settled = { run: snap.place.run, seq: to, epoch: snap.epoch, at: snap.at }
      return {
        kind: 'step',
        epoch: snap.epoch,
        from,
        to,
        pending,
        at: snap.at,
        moment: snap.moment,
        embeddings: request.embeddings,
        ...read,
        verified,
        marks: fold.marks,
        resets: fold.resets,
        credentials: fold.credentials,
        canary: fold.canary,
        ...(canaryAt === undefined ? {} : { canaryAt }),
        access: await loadAccesses(snap.query, request.principals(read.changes)),
      }
    })
  }

  async function endOf(snap: Snapshot, log: SqlQuery, from: Seq): Promise<SnapshotEnd> {
    // Another server began to capture from the WAL: the log is no longer part of the commits, as this source believes.
    if (!source.logsAfterCommit && snap.capture === 'wal')
      throw new TideError(
        'capture_unavailable',
        'This server runs with CAPTURE=trigger, and another one has begun to capture changes from the WAL.',
      )
    if (!source.logsAfterCommit)
      return { to: toSeq(Math.max(from, snap.head)), pending: false, sees: toSeq(Math.max(from, snap.head)) }
    const end = await visibleHead(snap.text, log, from)
    // The log began anew after the snapshot was taken: what it lacks, the snapshot may see.
    if (end.epoch !== snap.epoch) throw new TideError('timeout', 'The epoch changed while the log was being read.')
    return passed(end, from, snap.place.run)
  }

  /** Rows of this snapshot may be of commits beyond one that it does not see, behind a synchronous standby for long: nothing is told of it but access. */
  async function tornStep(snap: Snapshot, from: Seq, { embeddings, principals }: AdvanceRequest): Promise<Step> {
    return {
      kind: 'step',
      epoch: snap.epoch,
      from,
      to: from,
      pending: true,
      torn: true,
      at: snap.at,
      moment: snap.moment,
      embeddings,
      changes: [],
      departures: [],
      marks: [],
      resets: [],
      credentials: [],
      canary: false,
      verified: null,
      access: await loadAccesses(snap.query, principals([])),
    }
  }

  /** Where a snapshot ends, in a log that holds all that it sees; `recent`: that log's end, where it is in memory. */
  async function settledEnd(
    snap: Snapshot,
    from: Seq,
  ): Promise<SnapshotEnd & { readonly log: SqlQuery; readonly recent: readonly RecentCommit[] | undefined }> {
    const log = await source.settle(snap.query, snap.place)
    const recent = source.recent?.(from, snap.epoch)
    const end = recent ? passed(recentEnd(recent, snap.text, from), from, snap.place.run) : await endOf(snap, log, from)
    return { ...end, log, recent }
  }

  /**
   * What one snapshot saw, all later ones of the same run of Postgres see. Where nothing came after `from` it saw nothing: that
   * position may be of a history that this database never had.
   */
  function passed<T extends { readonly to: Seq }>(end: T, from: Seq, run: Floor['run']): T {
    if (end.to > from && (seen.run !== run || end.to > seen.seq)) seen = { run, seq: end.to }
    return end
  }

  /**
   * The newest commit of which it is certain that the snapshot sees it and all before it. `floor` is `seen` from before it was taken:
   * a later snapshot may have raised it since.
   */
  async function headOf(snap: Snapshot, floor: Floor, log = snap.query): Promise<SnapshotEnd> {
    const from = floor.run === snap.place.run ? floor.seq : zeroSeq
    return endOf(snap, log, toSeq(Math.max(from, snap.pruned)))
  }

  async function state(sought = zeroSeq): Promise<FeedState> {
    const floor = seen
    return snapshot(async (snap) => {
      const { epoch } = snap
      const [{ to: head }, former] = [await headOf(snap, floor), await formerEpochs(snap.query)]
      const state = { epoch, former, head, prunedThrough: toSeq(snap.pruned) }
      const isTold = told === undefined || told.seq <= (former.get(told.epoch) ?? Number.POSITIVE_INFINITY)
      if (!source.logsAfterCommit || (head >= sought && isTold)) return state
      // Commits are told before they are in the log: what it lacks now may only be late.
      const log = await source.settle(snap.query, snap.place)
      const { to } = await headOf(snap, floor, log)
      if (told && !isTold && !(await continueFormer(log, told))) told = undefined
      return { ...state, head: to, former: await formerEpochs(log) }
    })
  }

  function rowReader(snap: Snapshot, embeddings: boolean): RowReader {
    return new RowReader(catalog, snap.each, embeddings)
  }

  async function verify(snap: Snapshot, selection: Selection): Promise<readonly VerifiedTable[]> {
    const tables: VerifiedTable[] = []
    for (const table of selection.tables) {
      const statement = selectionSql({ catalog, homes, selection, table, columns: summedColumns })
      tables.push(await sumRows(table, statement, snap.each))
    }
    return tables
  }

  async function page(request: PageRequest): Promise<PageResult> {
    const floor = seen
    return snapshot(async (snap) => {
      const { to: from } = await headOf(snap, floor)
      const read = readPage(request, { catalog, homes, sizes, snapshot: snap })
      const [page, { sees: shows }] = await Promise.all([read, settledEnd(snap, from)])
      return { from, shows, ...page }
    })
  }

  return {
    state,
    pool,
    advance,
    page,
    access: (principal) => access.ask(principal),
    close: () => pool.end(),
  }
}
