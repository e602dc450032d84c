import pg from 'pg'
import { RangeSums } from '../../protocol/rows/verify.ts'
import { toSeq, type Seq } from '../../protocol/seq.ts'
import type { ChangeSource } from '../capture/change-source.ts'
import type { Catalog } from '../catalog/catalog.ts'
import type { Database } from '../db/db.ts'
import { loadAccess, type Access } from '../scope/access.ts'
import { createHomes } from '../scope/homes.ts'
import type { DevicePrincipal } from '../scope/principal.ts'
import { readChanges } from './change-reader.ts'
import type { AdvanceRequest, Feed, PageRequest, PageResult, Selection, Step, TooFar, VerifiedTable } from './feed.ts'
import { foldLog, visibleHead } from './log-reader.ts'
import { readPage } from './page-reader.ts'
import { RowReader } from './row-reader.ts'
import { selectionSql } from './selection-sql.ts'
import { inSnapshot, type Snapshot } from './snapshot.ts'

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

export interface SqlFeed extends Feed {
  close(): Promise<void>
}

/** The feed over Postgres or the embedded database. */
export function createSqlFeed(options: SqlFeedOptions): SqlFeed {
  const { database, source, catalog, connections = 4, deadlineMs = 10_000, maxKeys = 250_000 } = options
  const pool = new pg.Pool({ ...database.connection, max: connections })
  // A broken idle connection is replaced at its next use.
  pool.on('error', () => undefined)
  const homes = createHomes(catalog)
  const snapshot = <T>(read: (snapshot: Snapshot) => Promise<T>): Promise<T> => inSnapshot(pool, deadlineMs, read)

  async function advance(from: Seq, request: AdvanceRequest): Promise<Step | TooFar> {
    return snapshot(async (snap) => {
      const log = await source.settle(snap.query)
      const to = log === snap.query ? toSeq(Math.max(from, snap.head)) : await visibleHead(snap.query, log, from)
      if (from < snap.pruned) return { kind: 'too_far', from, to }
      const fold = await foldLog(log, { from, to }, request.organizations, maxKeys)
      const read =
        fold &&
        (await readChanges(fold.keys(), request, {
          catalog,
          homes,
          rows: rowReader(snap, request.embeddings),
          query: snap.query,
          maxKeys,
        }))
      if (!fold || !read) return { kind: 'too_far', from, to }
      const verified = request.verify ? await verify(snap, request.verify) : null
      return {
        kind: 'step',
        from,
        to,
        at: snap.at,
        embeddings: request.embeddings,
        ...read,
        verified,
        marks: fold.marks,
        resets: fold.resets,
        credentials: fold.credentials,
        canary: fold.canary,
        access: await accessOf(snap, request.principals(read.changes)),
      }
    })
  }

  function rowReader(snap: Snapshot, embeddings: boolean): RowReader {
    return new RowReader(catalog, snap.raw, embeddings)
  }

  async function accessOf(
    snap: Snapshot,
    principals: readonly DevicePrincipal[],
  ): Promise<ReadonlyMap<DevicePrincipal, Access>> {
    const access = new Map<DevicePrincipal, Access>()
    for (const principal of principals) access.set(principal, await loadAccess(snap.query, principal))
    return access
  }

  async function verify(snap: Snapshot, selection: Selection): Promise<readonly VerifiedTable[]> {
    const tables: VerifiedTable[] = []
    for (const table of selection.tables) {
      const sums = new RangeSums()
      const statement = selectionSql({ catalog, homes, selection, table, columns: 't.id, t.version' })
      for (const [id, version] of statement ? await snap.raw(statement) : []) sums.add(id ?? '', Number(version))
      tables.push({ table, ranges: sums.toRanges() })
    }
    return tables
  }

  async function page(request: PageRequest): Promise<PageResult> {
    return snapshot(async (snap) => {
      const from = toSeq(snap.head)
      return { from, ...(await readPage(request, { catalog, homes, raw: snap.raw })) }
    })
  }

  return {
    state: () =>
      snapshot(async ({ epoch, head, pruned }) => ({ epoch, head: toSeq(head), prunedThrough: toSeq(pruned) })),
    advance,
    page,
    access: (principal) => snapshot(({ query }) => loadAccess(query, principal)),
    close: () => pool.end(),
  }
}
