// A feed over maps, slow and obvious: a log of commits, the rows after each, and who may follow what. It evaluates
// everything from its history, so that what the hub makes of it can be compared with a state computed from scratch.
import { compileFilter } from '../../protocol/rows/matcher.ts'
import { packRows } from '../../protocol/rows/block-codec.ts'
import type { Row } from '../../protocol/rows/row.ts'
import type { TableDescriptor } from '../../protocol/rows/table.ts'
import { RangeSums } from '../../protocol/rows/verify.ts'
import { toSeq, zeroSeq, type Seq } from '../../protocol/seq.ts'
import type { ChangeSource } from '../../server/capture/change-source.ts'
import type {
  AccessAnswer,
  AdvanceRequest,
  Change,
  Departure,
  Feed,
  FeedState,
  Mark,
  PageRequest,
  PageResult,
  Selection,
  Step,
  TooFar,
} from '../../server/hub/feed.ts'
import { noAccess, type Access } from '../../server/scope/access.ts'
import type { DevicePrincipal } from '../../server/scope/principal.ts'

/** A row with the channels that carry it. */
export interface StoredRow {
  readonly table: string
  readonly row: Row
  readonly homes: readonly string[]
  readonly organizationId: string | null
}

export interface Commit {
  readonly seq: Seq
  readonly rows: ReadonlyMap<string, StoredRow>
  readonly access: ReadonlyMap<string, ReadonlySet<string>>
  readonly touched: readonly string[]
  readonly departures: readonly Departure[]
  readonly marks: readonly Mark[]
  readonly canary: boolean
  /** Whose tokens changed. */
  readonly credentials: readonly string[]
}

export interface Write {
  readonly puts?: readonly StoredRow[]
  readonly deletes?: readonly string[]
  readonly access?: ReadonlyMap<string, ReadonlySet<string>>
  readonly departures?: readonly Departure[]
  readonly marks?: readonly Mark[]
  readonly canary?: boolean
  readonly credentials?: readonly string[]
}

export const keyOf = (table: string, id: unknown): string => `${table}/${String(id)}`

export class MemoryFeed implements Feed, ChangeSource {
  readonly tables: ReadonlyMap<string, TableDescriptor>
  readonly #commits: Commit[] = [
    {
      seq: zeroSeq,
      rows: new Map(),
      access: new Map(),
      ...{ touched: [], departures: [], marks: [], canary: false, credentials: [] },
    },
  ]
  readonly #pause: () => Promise<void>
  epoch = 'memory'
  #onCommits: (newest?: Seq) => void = () => undefined
  prunedThrough: Seq = zeroSeq
  maxKeys = Number.POSITIVE_INFINITY

  /** `pause` is awaited before and after each snapshot is taken: where others may get in between. */
  constructor(tables: ReadonlyMap<string, TableDescriptor>, pause: () => Promise<void> = () => Promise.resolve()) {
    this.tables = tables
    this.#pause = pause
  }

  get #last(): Commit {
    const last = this.#commits.at(-1)
    if (!last) throw new Error('no commit')
    return last
  }

  get newest(): Commit {
    return this.#last
  }

  /** The state at a position. */
  at(seq: number): Commit {
    return this.#commits.findLast((commit) => commit.seq <= seq) ?? this.#last
  }

  commit({ puts = [], deletes = [], access, ...told }: Write): Seq {
    const { departures = [], marks = [], canary = false, credentials = [] } = told
    const rows = new Map(this.#last.rows)
    for (const put of puts) rows.set(keyOf(put.table, put.row['id']), put)
    for (const key of deletes) rows.delete(key)
    const seq = toSeq(this.#last.seq + 3)
    const touched = [...puts.map((put) => keyOf(put.table, put.row['id'])), ...deletes]
    this.#commits.push({
      ...{ seq, rows, access: access ?? this.#last.access, touched, departures, marks, canary, credentials },
    })
    this.#onCommits(seq)
    return seq
  }

  /** The database is the one of a backup, which has another history than replicas were told. */
  restore(seq: Seq, epoch: string): void {
    this.#commits.splice(this.#commits.findIndex((commit) => commit.seq > seq))
    this.epoch = epoch
  }

  async state(): Promise<FeedState> {
    await this.#pause()
    return { epoch: this.epoch, former: new Map(), head: this.#last.seq, prunedThrough: this.prunedThrough }
  }

  async access(principal: DevicePrincipal): Promise<AccessAnswer> {
    await this.#pause()
    const access = this.#accessOf(principal, this.#last)
    const moment = this.#last.seq
    await this.#pause()
    return { access, moment }
  }

  async advance(from: Seq, request: AdvanceRequest): Promise<Step | TooFar> {
    await this.#pause()
    const snapshot = this.#last
    const result = this.#step(from, snapshot, request)
    await this.#pause()
    return result
  }

  #step(from: Seq, snapshot: Commit, request: AdvanceRequest): Step | TooFar {
    const commits = this.#commits.filter(({ seq }) => seq > from && seq <= snapshot.seq)
    const changes = this.#changes(from, commits, snapshot).filter((change) => isWanted(change, request))
    if (changes.length > this.maxKeys || from < this.prunedThrough)
      return { kind: 'too_far', epoch: this.epoch, from, to: snapshot.seq, moment: snapshot.seq }
    return {
      kind: 'step',
      epoch: this.epoch,
      from,
      to: toSeq(Math.max(from, snapshot.seq)),
      at: 1,
      moment: snapshot.seq,
      embeddings: request.embeddings,
      changes,
      bytes: 0,
      departures: commits.flatMap(({ departures }) => departures),
      marks: commits.flatMap(({ marks }) => marks),
      resets: [],
      credentials: commits.flatMap(({ credentials }) => credentials),
      canary: commits.some(({ canary }) => canary),
      access: new Map(request.principals(changes).map((principal) => [principal, this.#accessOf(principal, snapshot)])),
      verified: request.verify ? this.#verify(request.verify, snapshot) : null,
    }
  }

  #changes(from: Seq, commits: readonly Commit[], snapshot: Commit): Change[] {
    const before = this.#commits.findLast(({ seq }) => seq <= from)?.rows ?? new Map<string, StoredRow>()
    const seqs = new Map(commits.flatMap(({ seq, touched }) => touched.map((key) => [key, seq] as const)))
    return [...seqs]
      .map(([key, seq]) => {
        const [table = '', id = ''] = key.split('/')
        const now = snapshot.rows.get(key)
        const seen = [before.get(key), ...commits.map(({ rows }) => rows.get(key))].filter(
          (stored) => stored !== undefined,
        )
        const homes = now?.homes ?? []
        const formerHomes = [...new Set(seen.flatMap((stored) => stored.homes))].filter((home) => !homes.includes(home))
        const organizationId = (now ?? seen.at(-1))?.organizationId ?? null
        const wasGone = commits.some(({ touched, rows }) => touched.includes(key) && !rows.has(key))
        const fresh = now?.row['version'] === 1 && !before.has(key) && !wasGone
        return { seq, table, id, organizationId, row: now?.row ?? null, homes, formerHomes, fresh, everywhere: false }
      })
      .toSorted((a, b) => a.seq - b.seq)
  }

  async page({ selection, after, maxRows }: PageRequest): Promise<PageResult> {
    await this.#pause()
    const snapshot = this.#last
    const keys = [...this.select(selection, snapshot).keys()].toSorted()
    const rest = after === null ? keys : keys.filter((key) => key > after)
    const taken = rest.slice(0, maxRows)
    const blocks = [...Map.groupBy(taken, (key) => key.split('/')[0] ?? '')].flatMap(([table, some]) => {
      const descriptor = this.tables.get(table)
      const rows = some.map((key) => snapshot.rows.get(key)?.row).filter((row) => row !== undefined)
      return descriptor ? [packRows(descriptor, rows, selection)] : []
    })
    await this.#pause()
    return {
      from: snapshot.seq,
      shows: snapshot.seq,
      blocks,
      rows: taken.length,
      next: taken.length < rest.length ? (taken.at(-1) ?? null) : null,
    }
  }

  /** The oracle: what a follower of a selection must hold, from scratch. */
  select(selection: Selection, { rows }: Pick<Commit, 'rows'> = this.#last): ReadonlyMap<string, Row> {
    const found = new Map<string, Row>()
    for (const [key, { table, row, homes, organizationId }] of rows) {
      if (!selection.tables.includes(table) || !homes.includes(selection.channel)) continue
      if (organizationId !== null && organizationId !== selection.organizationId) continue
      const descriptor = this.tables.get(table)
      const where = selection.where[table]
      if (descriptor && (!where || compileFilter(descriptor, where)(row))) found.set(key, row)
    }
    return found
  }

  #verify(selection: Selection, snapshot: Commit): Step['verified'] {
    const rows = this.select(selection, snapshot)
    return selection.tables.map((table) => {
      const sums = new RangeSums()
      for (const [key, row] of rows)
        if (key.startsWith(`${table}/`)) sums.add(String(row['id']), Number(row['version']))
      return { table, ranges: sums.toRanges() }
    })
  }

  #accessOf(principal: DevicePrincipal, { access }: Commit): Access {
    const channels = access.get(principal.id)
    if (!channels) return { ...noAccess, refusal: 'token_invalid' }
    return { active: true, channels: new Map([...channels].map((channel) => [channel, 'member'])) }
  }

  // As a change source: wakes at each commit.
  async start(onCommits: (newest?: Seq) => void): Promise<void> {
    this.#onCommits = onCommits
  }

  wake(): void {
    this.#onCommits()
  }

  settle: ChangeSource['settle'] = async (snapshot) => snapshot

  async head(): Promise<Seq> {
    return this.#last.seq
  }

  async stop(): Promise<void> {
    this.#onCommits = () => undefined
  }
}

function isWanted({ homes, formerHomes, table }: Change, { follows, watchAccess }: AdvanceRequest): boolean {
  return homes.some(follows) || formerHomes.some(follows) || (watchAccess && table === 'project_members')
}
