import type pg from 'pg'
import { Batcher } from '../../lib/batcher.ts'
import { TideError } from '../../protocol/error.ts'
import { toSeq, zeroSeq, type Seq } from '../../protocol/seq.ts'
import type { ChangeSource } from '../capture/change-source.ts'
import type { Catalog } from '../catalog/catalog.ts'
import { createSurvivingPool, type Database } from '../db/db.ts'
import { createBulkSocket } from '../db/row-packer.ts'
import { accessColumns, loadAccesses, noAccess } from '../scope/access.ts'
import { createHomes, type Homes } from '../scope/homes.ts'
import type { DevicePrincipal } from '../scope/principal.ts'
import type { SqlQuery } from '../scope/sql-query.ts'
import type { CountedPool } from '../telemetry/telemetry.ts'
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
import { canaryTime, continueFormer, foldLog, formerEpochs, type ToldCommit } from './log-reader.ts'
import { readPage, RowSizes } from './page-reader.ts'
import { foldRecent } from './recent-log.ts'
import { QuickRows } from './quick-rows.ts'
import { readQuickly } from './quick-step.ts'
import { wasRewritten } from './rewritten.ts'
import { RowReader } from './row-reader.ts'
import { selectionSql } from './selection-sql.ts'
import { inSnapshot, momentOf, type Snapshot } from './snapshot.ts'
import { SnapshotEnds, type Floor } from './snapshot-ends.ts'
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
  /** Bytes of rows that one step keeps, above which a client must bootstrap. A batch of them takes as much again. */
  readonly maxBytes?: number
}

const silentMs = 2000
/** Times that a page is read while tables are written anew. */
const mostReads = 5

export interface SqlFeed extends Feed {
  /** Its own connections, for metrics. */
  readonly pool: CountedPool
  close(): Promise<void>
}

/**
 * Where the last step of the live loop ended that was read in a snapshot, of which database, and the time as of which
 * it saw everything.
 */
interface Settled extends Floor {
  readonly epoch: string
  readonly at: number
}

/** For rows that are found in the channels which they name. */
const unasked: SqlQuery = () => Promise.reject(new Error('A quick step resolves no channels.'))
/** What a step says of nothing that it has not read. */
const nothing = {
  changes: [],
  bytes: 0,
  departures: [],
  marks: [],
  resets: [],
  credentials: [],
  canary: false,
  verified: null,
} as const

/** The feed over Postgres or the embedded database. */
export function createSqlFeed(options: SqlFeedOptions): SqlFeed {
  return new DatabaseFeed(options)
}

class DatabaseFeed implements SqlFeed {
  readonly pool: pg.Pool
  readonly #source: ChangeSource
  readonly #catalog: Catalog
  readonly #deadlineMs: number
  readonly #maxKeys: number
  readonly #maxBytes: number
  readonly #homes: Homes
  readonly #sizes = new RowSizes()
  readonly #ends: SnapshotEnds
  readonly #rows: QuickRows
  readonly #access = new Batcher<DevicePrincipal, AccessAnswer>((principals) => this.#accessOf(principals))
  #settled: Settled = { run: '', seq: zeroSeq, epoch: '', at: 0 }
  /** The newest commit that was told before it was known to be in the log. */
  #told: ToldCommit | undefined

  constructor({ database, source, catalog, connections = 4, deadlineMs = 10_000, ...most }: SqlFeedOptions) {
    this.pool = createSurvivingPool({
      ...database.connection,
      max: connections,
      stream: createBulkSocket,
      // Postgres ends what takes too long; if it is gone without a word, this does.
      query_timeout: deadlineMs + silentMs,
    })
    database.observe(this.pool)
    this.#source = source
    this.#catalog = catalog
    this.#deadlineMs = deadlineMs
    this.#maxKeys = most.maxKeys ?? 250_000
    this.#maxBytes = most.maxBytes ?? 64 * 1024 ** 2
    this.#homes = createHomes(catalog)
    this.#ends = new SnapshotEnds(source)
    this.#rows = new QuickRows(this.pool, catalog)
  }

  async state(sought = zeroSeq): Promise<FeedState> {
    const floor = this.#ends.seen
    return this.#snapshot(async (snap) => {
      const { epoch } = snap
      const [{ to: head }, former] = [await this.#ends.known(snap, floor), await formerEpochs(snap.query)]
      const state = { epoch, former, head, prunedThrough: toSeq(snap.pruned) }
      const told = this.#told
      const isTold = told === undefined || told.seq <= (former.get(told.epoch) ?? Number.POSITIVE_INFINITY)
      if (!this.#source.logsAfterCommit || (head >= sought && isTold)) return state
      // Commits are told before they are in the log: what it lacks now may only be late.
      const log = await this.#source.settle(snap.query, snap.place)
      const { to } = await this.#ends.known(snap, floor, log)
      if (told && !isTold && !(await continueFormer(log, told)) && this.#told === told) this.#told = undefined
      return { ...state, head: to, former: await formerEpochs(log) }
    })
  }

  async advance(from: Seq, request: AdvanceRequest): Promise<Step | TooFar> {
    return (
      (await this.#quickStep(from, request)) ?? (await this.#snapshot((snap) => this.#fullStep(snap, from, request)))
    )
  }

  async page(request: PageRequest): Promise<PageResult> {
    for (let tries = 0; tries < mostReads; tries++) {
      const page = await this.#pageOnce(request)
      if (page) return page
    }
    throw new TideError('timeout', 'Tables were written anew each time that a page was read.')
  }

  /** Undefined: a table was truncated meanwhile, so that rows may be missing which were there as of the page. */
  #pageOnce(request: PageRequest): Promise<PageResult | undefined> {
    const floor = this.#ends.seen
    return this.#snapshot(async (snapshot) => {
      const { to: from } = await this.#ends.known(snapshot, floor)
      const read = readPage(request, { catalog: this.#catalog, homes: this.#homes, sizes: this.#sizes, snapshot })
      const [page, { sees: shows }] = await Promise.all([read, this.#ends.settled(snapshot, from)])
      return (await wasRewritten(snapshot.query)) ? undefined : { from, shows, ...page }
    })
  }

  access(principal: DevicePrincipal): Promise<AccessAnswer> {
    return this.#access.ask(principal)
  }

  close(): Promise<void> {
    return this.pool.end()
  }

  #snapshot<T>(read: (snapshot: Snapshot) => Promise<T>): Promise<T> {
    return inSnapshot(this.pool, this.#deadlineMs, read)
  }

  #accessOf(principals: readonly DevicePrincipal[]): Promise<readonly AccessAnswer[]> {
    return this.#snapshot(async ({ query, moment }) => {
      const found = await loadAccesses(query, principals)
      return principals.map((principal) => ({ access: found.get(principal) ?? noAccess, moment }))
    })
  }

  /** A step of the live loop that needs no snapshot, from where the last one ended that had one. */
  async #quickStep(from: Seq, request: AdvanceRequest): Promise<Step | undefined> {
    const { epoch, run, at, seq } = this.#settled
    const [catalog, homes] = [this.#catalog, this.#homes]
    const mayBeQuick = request.watchAccess && !request.timed && from >= seq
    const recent = mayBeQuick ? this.#source.recent?.(from, epoch) : undefined
    const read = recent && (await readQuickly(recent, from, request, { catalog, homes, rows: this.#rows }))
    if (!read || read.epoch !== epoch || read.run !== run) return undefined
    const { to, pending, fold, rows } = read
    this.#ends.passed(read, from, run)
    const newest = recent.findLast(({ point }) => point.seq <= to)
    if (newest) this.#told = { epoch, ...newest.point }
    const options = { catalog, homes, rows, query: unasked, maxKeys: this.#maxKeys }
    const found = await readChanges(fold.keys(), request, options)
    if (!found) return undefined
    const { marks, resets, credentials, canary } = fold
    const { embeddings } = request
    const moment = momentOf(read.snapshot)
    const said = { marks, resets, credentials, canary, verified: null, access: new Map() }
    return { kind: 'step', epoch, from, to, pending, at, moment, embeddings, bytes: rows.bytes, ...found, ...said }
  }

  async #fullStep(snap: Snapshot, from: Seq, request: AdvanceRequest): Promise<Step | TooFar> {
    const { log, recent, to, pending, sees } = await this.#ends.settled(snap, from)
    const { epoch, at, moment } = snap
    if (sees > to) return this.#tornStep(snap, from, request)
    // What is gone was seen by this snapshot: who is told to go on from `to` is not too far behind again.
    const beyond = { kind: 'too_far', epoch, from, pending, moment } as const
    if (from < snap.pruned) return { ...beyond, to: toSeq(Math.max(to, snap.pruned)) }
    const [catalog, homes, maxKeys, maxBytes] = [this.#catalog, this.#homes, this.#maxKeys, this.#maxBytes]
    const fold = recent
      ? foldRecent(recent, to, request.organizations, maxKeys)
      : await foldLog(log, { ...request, from, to, homes, maxKeys })
    // Who has lost a row, or the right to follow, by that can only be told by what is gone.
    if (fold?.resets.some((table) => table in accessColumns || homes.namesGuests(table))) return { ...beyond, to }
    const rows = new RowReader({ catalog, each: snap.each, embeddings: request.embeddings, maxBytes })
    const read = fold && (await readChanges(fold.keys(), request, { catalog, homes, rows, query: snap.query, maxKeys }))
    if (!fold || !read) return { ...beyond, to }
    const canaryAt = fold.canary && request.watchAccess ? await canaryTime(log, to) : undefined
    const verified = request.verify ? await this.#verify(snap, request.verify) : null
    if (await wasRewritten(snap.query)) return this.#tornStep(snap, from, request)
    if (request.watchAccess) this.#settled = { run: snap.place.run, seq: to, epoch, at }
    const { marks, resets, credentials, canary } = fold
    const { embeddings } = request
    const said = { marks, resets, credentials, canary, ...(canaryAt === undefined ? {} : { canaryAt }), verified }
    const access = await loadAccesses(snap.query, request.principals(read.changes))
    const { bytes } = rows
    return { kind: 'step', epoch, from, to, pending, at, moment, embeddings, bytes, ...read, ...said, access }
  }

  /**
   * Rows of this snapshot may be of commits beyond one that it does not see, behind a synchronous standby for long, or
   * missing though no commit that it sees has deleted them: nothing is told of it but access.
   */
  async #tornStep(snap: Snapshot, from: Seq, { embeddings, principals }: AdvanceRequest): Promise<Step> {
    const { epoch, at, moment } = snap
    const access = await loadAccesses(snap.query, principals([]))
    return {
      kind: 'step',
      epoch,
      from,
      to: from,
      pending: true,
      torn: true,
      at,
      moment,
      embeddings,
      ...nothing,
      access,
    }
  }

  async #verify(snap: Snapshot, selection: Selection): Promise<readonly VerifiedTable[]> {
    const tables: VerifiedTable[] = []
    for (const table of selection.tables) {
      const options = { catalog: this.#catalog, homes: this.#homes, selection, table, columns: summedColumns }
      tables.push(await sumRows(table, selectionSql(options), snap.each))
    }
    return tables
  }
}
