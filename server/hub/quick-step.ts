/**
 * The live way to a step while the log is written here: its newest commits are in memory (`ChangeSource.recent`), often
 * before they are in the log, and rows are read as they are now, one statement for each table. No snapshot waits for
 * the log: each row proves by itself that no commit beyond the step is in it. It does when one of the step's own
 * transactions wrote it (`xmin`). Its version would prove nothing: versions begin anew when a row is deleted and made
 * again, so a later commit may bring it to the same one. What cannot be proven is not answered, and is read the slow
 * way.
 */
import { isSubChannel } from '../../protocol/rows/channel.ts'
import type { Row } from '../../protocol/rows/row.ts'
import type { Seq } from '../../protocol/seq.ts'
import type { RecentCommit } from '../capture/change-source.ts'
import type { Catalog } from '../catalog/catalog.ts'
import { accessColumns } from '../scope/access.ts'
import type { Homes } from '../scope/homes.ts'
import type { RowSource } from './change-reader.ts'
import type { AdvanceRequest } from './feed.ts'
import type { Fold, FoldedKey } from './fold.ts'
import type { QuickRows, RowsFound } from './quick-rows.ts'
import { foldRecent, recentEnd } from './recent-log.ts'

/** More rows are read in a snapshot of their own. */
const maxKeys = 1000
/** The lower half of a transaction's id. */
const half = 2 ** 32

export interface QuickOptions {
  readonly catalog: Catalog
  readonly homes: Pick<Homes, 'kindOf' | 'grantedBy'>
  readonly rows: QuickRows
}

/** What a step is made of, and the database and moment that it is of. */
export interface QuickRead {
  readonly to: Seq
  readonly pending: boolean
  readonly fold: Fold
  readonly rows: RowSource
  readonly epoch: string
  readonly run: string
  /** Of the first statement, as Postgres writes it. */
  readonly snapshot: string
}

/**
 * Reads the rows that somebody follows of what the commits changed, up to the first sign of life: that tells when all
 * was seen, which only a snapshot that waited for the log knows. Undefined: it has to be read the slow way.
 */
export async function readQuickly(
  recent: readonly RecentCommit[],
  from: Seq,
  request: AdvanceRequest,
  { catalog, homes, rows }: QuickOptions,
): Promise<QuickRead | undefined> {
  const sign = recent.findIndex(isSignOfLife)
  const commits = sign === -1 ? recent : recent.slice(0, sign)
  const last = commits.at(-1)
  const all = last && foldRecent(commits, last.point.seq, request.organizations, maxKeys)
  if (!all || !isPlain(all, homes)) return undefined
  const isRead = ({ table, channels }: FoldedKey): boolean =>
    catalog.synced.has(table) && request.follows(channels.at(-1) ?? '')
  const read = await rows.read(all.keys().filter(isRead), request.embeddings)
  if (!read) return undefined
  const { to, pending } = recentEnd(commits, read.head.snapshot, from)
  const fold = to === last.point.seq ? all : foldRecent(commits, to, request.organizations, maxKeys)
  if (!fold || !areProven(fold.keys().filter(isRead), read.rows, commits, to)) return undefined
  return { to, pending: pending || sign !== -1, fold, rows: rowSource(read), ...read.head }
}

function isSignOfLife({ keys }: RecentCommit): boolean {
  return keys.some(({ op, origin }) => op === 'mark' && origin.mutation_id === null)
}

/**
 * Only rows that are found in the channels which they name: nobody's access changes, nothing hangs under them, and no
 * table was emptied.
 */
function isPlain(fold: Fold, { kindOf, grantedBy }: Pick<Homes, 'kindOf' | 'grantedBy'>): boolean {
  if (fold.resets.length > 0) return false
  return fold
    .keys()
    .every(
      ({ table, channels }) =>
        !(table in accessColumns) &&
        kindOf(table) === undefined &&
        grantedBy(table) === undefined &&
        !channels.some(isSubChannel),
    )
}

/** Whether rows that were read, or their absence, are as the commits up to a position left them. */
function areProven(
  keys: readonly FoldedKey[],
  rows: RowsFound['rows'],
  commits: readonly RecentCommit[],
  to: Seq,
): boolean {
  if (keys.length === 0) return true
  const writers = new Set<number>()
  const last = new Map<string, RecentCommit['keys'][number]>()
  for (const { point, keys: written } of commits) {
    if (point.seq > to) break
    writers.add(point.xid % half)
    for (const key of written) last.set(`${key.table}/${key.rowId ?? ''}`, key)
  }
  return keys.every((folded) => {
    const [found, key] = [rows.get(nameOf(folded)), last.get(nameOf(folded))]
    if (!found || key?.op === 'delete') return !found && key?.op === 'delete'
    return writers.has(found.xmin)
  })
}

function rowSource({ rows: found, bytes }: RowsFound): RowSource {
  return {
    bytes,
    byId: async (table, ids) =>
      new Map(
        ids.flatMap((id): readonly [string, Row][] => {
          const one = found.get(`${table}/${id}`)
          return one ? [[id, one.row]] : []
        }),
      ),
    inChannels: async () => undefined,
  }
}

function nameOf({ table, id }: Pick<FoldedKey, 'table' | 'id'>): string {
  return `${table}/${id}`
}
