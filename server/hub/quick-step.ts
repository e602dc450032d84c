/**
 * The live way to a step while the log is written here: its newest commits are in memory (`ChangeSource.recent`), often before they are in the log, and rows are read as they
 * are now, one statement for each table. No snapshot waits for the log: each row proves by itself that no commit beyond the step is in it.
 * It does when one of the step's own transactions wrote it (`xmin`). Its version would prove nothing: versions begin anew when a row is
 * deleted and made again, so a later commit may bring it to the same one. What cannot be proven is not answered, and is read the slow way.
 */
import type pg from 'pg'
import { isSubChannel } from '../../protocol/rows/channel.ts'
import type { Row } from '../../protocol/rows/row.ts'
import type { Seq } from '../../protocol/seq.ts'
import type { RecentCommit } from '../capture/change-source.ts'
import type { Catalog } from '../catalog/catalog.ts'
import { binarySelectList, queryRaw, RowDecoder, type TakeRow } from '../db/row-packer.ts'
import { accessColumns } from '../scope/access.ts'
import type { Homes } from '../scope/homes.ts'
import type { RowSource } from './change-reader.ts'
import type { AdvanceRequest } from './feed.ts'
import type { Fold, FoldedKey } from './fold.ts'
import { foldRecent, recentEnd } from './recent-log.ts'

/** More rows are read in a snapshot of their own. */
const maxKeys = 1000
/** The lower half of a transaction's id. */
const half = 2 ** 32

export interface QuickOptions {
  readonly pool: pg.Pool
  readonly catalog: Catalog
  readonly homes: Pick<Homes, 'kindOf' | 'grantedBy'>
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
 * Reads the rows that somebody follows of what the commits changed, up to the first sign of life: that tells when all was seen, which only
 * a snapshot that waited for the log knows. Undefined: it has to be read the slow way.
 */
export async function readQuickly(
  recent: readonly RecentCommit[],
  from: Seq,
  request: AdvanceRequest,
  { pool, catalog, homes }: QuickOptions,
): Promise<QuickRead | undefined> {
  const sign = recent.findIndex(isSignOfLife)
  const commits = sign === -1 ? recent : recent.slice(0, sign)
  const last = commits.at(-1)
  const all = last && foldRecent(commits, last.point.seq, request.organizations, maxKeys)
  if (!all || !isPlain(all, homes)) return undefined
  const isRead = ({ table, channels }: FoldedKey): boolean =>
    catalog.synced.has(table) && request.follows(channels.at(-1) ?? '')
  const read = await readRows(pool, catalog, all.keys().filter(isRead), request.embeddings)
  if (!read) return undefined
  const { to, pending } = recentEnd(commits, read.head.snapshot, from)
  const fold = to === last.point.seq ? all : foldRecent(commits, to, request.organizations, maxKeys)
  const proves = proofOf(commits, to)
  if (!fold?.keys().every((key) => !isRead(key) || proves(key, read.rows.get(nameOf(key))))) return undefined
  return { to, pending: pending || sign !== -1, fold, rows: rowSource(read.rows), ...read.head }
}

function isSignOfLife({ keys }: RecentCommit): boolean {
  return keys.some(({ op, origin }) => op === 'mark' && origin.mutation_id === null)
}

/** Only rows that are found in the channels which they name: nobody's access changes, nothing hangs under them, and no table was emptied. */
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

interface Head {
  readonly snapshot: string
  readonly epoch: string
  readonly run: string
}

interface FoundRow {
  readonly row: Row
  /** The transaction that wrote it, or a part of one: the lower half of its id. */
  readonly xmin: number
}

const headSql = `select pg_current_snapshot()::text as snapshot, epoch, sync.postgres_run() as run from sync_heads where id = 1`

async function readRows(
  pool: pg.Pool,
  catalog: Catalog,
  keys: readonly FoldedKey[],
  embeddings: boolean,
): Promise<{ readonly head: Head; readonly rows: ReadonlyMap<string, FoundRow> } | undefined> {
  const client = await pool.connect()
  let failure: Error | undefined
  try {
    const rows = new Map<string, FoundRow>()
    let head: Head | undefined
    for (const [table, some] of Map.groupBy(keys, (key) => key.table)) {
      const found = new FoundRows(catalog, table, embeddings)
      await queryRaw(client, found.statement(some), found.take)
      // Of several snapshots the first sees least.
      head ??= found.head
      for (const one of found.rows) rows.set(`${table}/${String(one.row['id'])}`, one)
    }
    head ??= (await client.query<Head>({ name: 'quick_head', text: headSql })).rows[0]
    return head && { head, rows }
  } catch (error) {
    failure = error instanceof Error ? error : new Error(String(error))
    throw error
  } finally {
    client.release(failure)
  }
}

/** Takes the rows of one table, each behind the fields of `Head` and its `xmin`. Without any there is one of nulls. */
class FoundRows {
  readonly #name: string
  readonly #text: string
  readonly rows: FoundRow[] = []
  readonly #decoder: RowDecoder
  head: Head | undefined

  constructor(catalog: Catalog, table: string, embeddings: boolean) {
    const found = catalog.synced.get(table)
    if (!found) throw new Error(`${table} is not synced.`)
    this.#decoder = new RowDecoder(found, { embeddings })
    this.#name = `quick_${table}${embeddings ? '_e' : ''}`
    this.#text = `select h.snapshot, h.epoch, h.run, t.xmin, ${binarySelectList(found, { embeddings }, 't')}
      from (${headSql}) h left join "${table}" t on t.id = `
  }

  /** One key is asked for by itself: Postgres keeps the plan of that, and would plan a list anew each time. */
  statement(keys: readonly FoldedKey[]): pg.QueryConfig {
    const ids = keys.map(({ id }) => id)
    return ids.length === 1
      ? { name: `${this.#name}_one`, text: `${this.#text}$1::uuid`, values: ids }
      : { name: this.#name, text: `${this.#text}any($1::uuid[])`, values: [ids] }
  }

  readonly take: TakeRow = (bytes, offset) => {
    let at = offset + 2
    const text = (): string => {
      const start = at + 4
      at = start + bytes.readInt32BE(at)
      return bytes.toString('utf8', start, at)
    }
    const head = { snapshot: text(), epoch: text(), run: text() }
    this.head ??= head
    if (bytes.readInt32BE(at) < 0) return
    // The decoder begins behind a number of fields, which it does not read.
    this.rows.push({ row: this.#decoder.decode(bytes, at + 8 - 2), xmin: bytes.readUInt32BE(at + 4) })
  }
}

/** Whether a row, or its absence, is as the commits up to a position left it. */
function proofOf(commits: readonly RecentCommit[], to: Seq): (key: FoldedKey, found: FoundRow | undefined) => boolean {
  const writers = new Set<number>()
  const last = new Map<string, RecentCommit['keys'][number]>()
  for (const { point, keys } of commits) {
    if (point.seq > to) break
    writers.add(point.xid % half)
    for (const key of keys) last.set(`${key.table}/${key.rowId ?? ''}`, key)
  }
  return (folded, found) => {
    const key = last.get(nameOf(folded))
    if (!found || key?.op === 'delete') return !found && key?.op === 'delete'
    return writers.has(found.xmin)
  }
}

function rowSource(found: ReadonlyMap<string, FoundRow>): RowSource {
  return {
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
