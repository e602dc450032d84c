import { isSubChannel, parseChannel } from '../../protocol/rows/channel.ts'
import type { Seq } from '../../protocol/seq.ts'
import type { Catalog, CatalogTable } from '../catalog/catalog.ts'
import { accessColumns } from '../scope/access.ts'
import { idOf, valueOf, type ReadRow } from '../db/row-bytes.ts'
import type { Homes } from '../scope/homes.ts'
import type { SqlQuery } from '../scope/sql-query.ts'
import type { AdvanceRequest, Change, Departure } from './feed.ts'
import type { FoldedKey } from './fold.ts'
import { findRehangs, type Rehang } from './rehang.ts'

/** Where the newest rows of keys come from. */
export interface RowSource {
  /** Of the rows that were read so far, as they came from the database. */
  readonly bytes: number
  /** Rows by id; those that are gone are missing. Undefined: they are too large to be kept. */
  byId(table: string, ids: readonly string[]): Promise<ReadonlyMap<string, ReadRow> | undefined>
  /**
   * All rows that live in sub-channels; undefined when there are more than `limit`, or they are too large to be kept.
   */
  inChannels(table: CatalogTable, channels: readonly string[], limit: number): Promise<readonly ReadRow[] | undefined>
}

export interface ReadOptions {
  readonly catalog: Catalog
  readonly homes: Homes
  readonly rows: RowSource
  readonly query: SqlQuery
  readonly maxKeys: number
}

interface Located {
  readonly key: FoldedKey
  readonly homes: readonly string[]
  readonly formerHomes: readonly string[]
  readonly everywhere: boolean
}

type Request = Pick<AdvanceRequest, 'follows' | 'watchAccess'>

/**
 * Turns folded keys into changes: finds where each row is carried now and was before, and reads the rows that somebody
 * follows. Undefined: too many rows, or too large ones.
 */
export async function readChanges(
  keys: readonly FoldedKey[],
  request: Request,
  options: ReadOptions,
): Promise<{ readonly changes: readonly Change[]; readonly departures: readonly Departure[] } | undefined> {
  const { catalog, homes, query } = options
  const synced = keys.filter(({ table }) => catalog.synced.has(table))
  const rehangs = findRehangs(keys, homes)
  const carriers = await homes.homesOf(query, namesToResolve(synced, rehangs, homes))
  const located = synced.map((key) => locate(key, carriers, homes, rehangs)).filter((one) => isWanted(one, request))
  const changes = new Map<string, Change>()
  const read = await readRows(located, request, options.rows)
  if (!read) return undefined
  for (const change of read) changes.set(`${change.table}/${change.id}`, change)
  const entered = await readEntered(rehangs, carriers, request, options)
  if (!entered) return undefined
  for (const change of entered) {
    const name = `${change.table}/${change.id}`
    const own = changes.get(name)
    changes.set(name, own ? latest(own, change) : change)
  }
  return {
    changes: [...changes.values()].toSorted((a, b) => a.seq - b.seq),
    departures: departuresOf(rehangs, carriers, homes),
  }
}

/**
 * A row that was changed, and then shown to somebody or taken from them: that is news also to a subscription that
 * stands between the two, so it bears the later position.
 */
function latest(own: Change, entered: Change): Change {
  if (entered.seq <= own.seq) return own
  const formerHomes = [...new Set([...own.formerHomes, ...entered.formerHomes])]
  return { ...own, seq: entered.seq, formerHomes, fresh: false }
}

/** Sub-channels that were touched, and the names of parents whose rows have guests. */
function namesToResolve(keys: readonly FoldedKey[], rehangs: readonly Rehang[], homes: Homes): ReadonlySet<string> {
  const names = new Set(rehangs.map(({ name }) => name))
  for (const { table, id, channels } of keys) {
    const kind = homes.kindOf(table)
    if (kind !== undefined) names.add(`${kind}/${id}`)
    for (const channel of channels) if (isSubChannel(channel)) names.add(channel)
  }
  return names
}

function locate(
  key: FoldedKey,
  carriers: ReadonlyMap<string, readonly string[]>,
  homes: Homes,
  rehangs: readonly Rehang[],
): Located {
  const kind = homes.kindOf(key.table)
  const name = kind === undefined ? undefined : `${kind}/${key.id}`
  const resolve = (channel: string): readonly string[] =>
    isSubChannel(channel) ? (carriers.get(channel) ?? goneHomes(channel, rehangs)) : [channel]
  const current = key.channels.at(-1) ?? ''
  const now = new Set((name === undefined ? undefined : carriers.get(name)) ?? resolve(current))
  const before = new Set(key.channels.flatMap(resolve))
  // Who is still loading the channel that a parent left has an older row under it, and may know the new one elsewhere.
  const moved = rehangs.filter((rehang) => rehang.name === name || key.channels.includes(rehang.name))
  for (const { left } of moved) for (const home of left) before.add(home)
  const everywhere = now.size === 0 && before.size === 0
  return { key, homes: [...now], formerHomes: [...before].filter((home) => !now.has(home)), everywhere }
}

/** The parent was deleted in this very step: the log still says where it was, and who its guests were. */
function goneHomes(channel: string, rehangs: readonly Rehang[]): readonly string[] {
  return rehangs
    .filter(({ name }) => name === channel)
    .flatMap(({ left }) => left.filter((home) => !isSubChannel(home)))
}

function isWanted({ key, homes, formerHomes, everywhere }: Located, { follows, watchAccess }: Request): boolean {
  return everywhere || homes.some(follows) || formerHomes.some(follows) || (watchAccess && key.table in accessColumns)
}

async function readRows(
  located: readonly Located[],
  { follows, watchAccess }: Request,
  reader: RowSource,
): Promise<readonly Change[] | undefined> {
  const changes: Change[] = []
  for (const [table, some] of Map.groupBy(located, ({ key }) => key.table)) {
    const isNeeded = ({ homes }: Located): boolean => homes.some(follows) || (watchAccess && table in accessColumns)
    const rows = await reader.byId(
      table,
      some.filter((one) => isNeeded(one) && !one.key.gone).map(({ key }) => key.id),
    )
    if (!rows) return undefined
    for (const one of some)
      changes.push(isNeeded(one) || one.everywhere ? toChange(one, rows.get(one.key.id) ?? null) : toUnread(one))
  }
  return changes
}

function toChange({ key, homes, formerHomes, everywhere }: Located, row: ReadRow | null): Change {
  const { seq, table, id, organizationId } = key
  const base = { seq, table, id, organizationId, row }
  if (row === null) return { ...base, homes: [], formerHomes: [...homes, ...formerHomes], fresh: false, everywhere }
  const fresh = !key.deleted && key.channels.length === 1 && valueOf(row, 'version') === 1
  return { ...base, homes, formerHomes, fresh, everywhere: false }
}

/** Those who follow it only left it: they need no row. */
function toUnread({ key: { seq, table, id, organizationId }, homes, formerHomes }: Located): Change {
  return { seq, table, id, organizationId, row: null, homes, formerHomes, fresh: false, everywhere: false }
}

/** Everything in sub-channels that somebody now sees, and their parents. */
async function readEntered(
  rehangs: readonly Rehang[],
  carriers: ReadonlyMap<string, readonly string[]>,
  { follows }: Request,
  { homes, rows, maxKeys }: ReadOptions,
): Promise<readonly Change[] | undefined> {
  const entered = new Map<string, Entered>()
  for (const { name, organizationId, seq, ...rehang } of rehangs) {
    const now = carriers.get(name) ?? []
    const there = now.filter((home) => rehang.entered.includes(home))
    const gone = rehang.left.filter((home) => !now.includes(home))
    if (there.some(follows) || gone.some(follows)) entered.set(name, { seq, organizationId, now, there, gone })
  }
  const changes: Change[] = []
  for (const [kind, names] of Map.groupBy(entered.keys(), (name) => parseChannel(name).kind)) {
    const parent = homes.parentOf(kind) ?? ''
    const ids = names.map((name) => parseChannel(name).id)
    const parents = await rows.byId(parent, ids)
    if (!parents) return undefined
    for (const id of ids) changes.push(...toParent(entered.get(`${kind}/${id}`), parent, id, parents.get(id) ?? null))
    const opened = names.filter((name) => homes.isParent(name) && entered.get(name)?.there.some(follows))
    for (const table of opened.length > 0 ? homes.tablesIn(kind) : []) {
      const found = await rows.inChannels(table, opened, maxKeys - changes.length)
      if (!found) return undefined
      for (const row of found) changes.push(...toChild(entered.get(String(valueOf(row, 'channel'))), table.name, row))
    }
  }
  return changes
}

interface Entered {
  readonly seq: Seq
  readonly organizationId: string | null
  /** All channels that carry it, those among them that are new, and those that do not any more. */
  readonly now: readonly string[]
  readonly there: readonly string[]
  readonly gone: readonly string[]
}

function toParent(entered: Entered | undefined, table: string, id: string, row: ReadRow | null): readonly Change[] {
  if (!entered) return []
  const { seq, organizationId, now, gone } = entered
  return [{ seq, organizationId, table, id, row, homes: now, formerHomes: gone, fresh: false, everywhere: false }]
}

/** Rows of a sub-channel that is left are purged by the departure, not one by one. */
function toChild(entered: Entered | undefined, table: string, row: ReadRow): readonly Change[] {
  if (!entered) return []
  const { seq, organizationId, there } = entered
  return [
    {
      seq,
      organizationId,
      table,
      id: idOf(row),
      row,
      homes: there,
      formerHomes: [],
      fresh: true,
      everywhere: false,
    },
  ]
}

function departuresOf(
  rehangs: readonly Rehang[],
  carriers: ReadonlyMap<string, readonly string[]>,
  homes: Pick<Homes, 'isParent'>,
): readonly Departure[] {
  return rehangs.flatMap(({ name, organizationId, left }) => {
    if (!homes.isParent(name)) return []
    const now = carriers.get(name) ?? []
    const gone = left.filter((home) => !now.includes(home) && !isSubChannel(home))
    return gone.length === 0 ? [] : [{ channel: name, organizationId, left: gone, homes: now }]
  })
}
