import { channelOf } from '../../protocol/rows/channel.ts'
import { packRows } from '../../protocol/rows/block-codec.ts'
import type { PackedBlock } from '../../protocol/rows/block.ts'
import { compileFilter } from '../../protocol/rows/matcher.ts'
import { rowId, type Row } from '../../protocol/rows/row.ts'
import { RangeSums } from '../../protocol/rows/verify.ts'
import { toSeq, zeroSeq, type Cursor, type Seq } from '../../protocol/seq.ts'
import type { TableDescriptor } from '../../protocol/rows/table.ts'
import type {
  AccessAnswer,
  AdvanceRequest,
  Change,
  Departure,
  Feed,
  FeedState,
  PageRequest,
  PageResult,
  Selection,
  Step,
  TooFar,
  VerifiedTable,
} from '../../server/hub/feed.ts'
import { Fold, type FoldedKey, type LogEntry } from '../../server/hub/fold.ts'
import { accessColumns, noAccess, type Access } from '../../server/scope/access.ts'
import type { DevicePrincipal, Principal } from '../../server/scope/principal.ts'
import type { Clock } from '../../lib/clock.ts'
import { guestChannel, homesOf, rowHomes } from './sim-homes.ts'
import { SimRows } from './sim-rows.ts'

export interface SimTables {
  readonly byName: ReadonlyMap<string, { readonly descriptor?: TableDescriptor | undefined }>
}

/** One committed change as a transaction asked for it. */
export interface Committed {
  readonly rows: SimRows
  readonly marks: readonly { readonly mutationId: string; readonly deviceId: string }[]
  readonly deviceId: string | null
}

/**
 * A database without Postgres: rows, a log of keys in commit order, and snapshots that are free because nothing else
 * runs while one is read. It answers the same questions as `sql-feed.ts`, in the slowest and plainest way.
 */
export class SimDatabase implements Feed {
  readonly rows = new SimRows()
  readonly #tables: SimTables
  readonly #clock: Clock
  #epoch: string
  #former: ReadonlyMap<string, Seq> = new Map()
  #log: LogEntry[] = []
  #history: { readonly seq: Seq; readonly table: string; readonly row: Row }[] = []
  #head: Seq = zeroSeq
  #prunedThrough: Seq = zeroSeq
  /** Time a read takes, so that commits can come between reads. */
  readonly #latency: () => Promise<void>

  constructor(tables: SimTables, clock: Clock, epoch: string, latency: () => Promise<void>) {
    this.#tables = tables
    this.#clock = clock
    this.#epoch = epoch
    this.#latency = latency
  }

  get epoch(): string {
    return this.#epoch
  }

  get head(): Seq {
    return this.#head
  }

  /** Everything as it is now; what it answers brings it back, as an older copy of the same database. */
  backUp(): () => void {
    const rows = new SimRows()
    rows.restore(this.rows)
    const [log, history, head] = [[...this.#log], [...this.#history], this.#head]
    const [epoch, former, prunedThrough] = [this.#epoch, this.#former, this.#prunedThrough]
    return () => {
      this.rows.restore(rows)
      this.#log = [...log]
      this.#history = [...history]
      this.#head = head
      this.#epoch = epoch
      this.#former = former
      this.#prunedThrough = prunedThrough
    }
  }

  /** As `sync.ensure_epoch` after a start of Postgres, on a backup or not. */
  startAnew(epoch: string): void {
    this.#former = new Map([...this.#former, [this.#epoch, this.#head]])
    this.#epoch = epoch
  }

  /** Forgets the log but for so many commits. */
  prune(keep: number): void {
    this.#prunedThrough = toSeq(Math.max(this.#prunedThrough, this.#head - keep))
    this.#log = this.#log.filter(({ seq }) => seq > this.#prunedThrough)
  }

  /** Whether a cursor is of the history that is here. */
  isOurs({ epoch, seq }: Cursor): boolean {
    return epoch === this.#epoch || seq <= (this.#former.get(epoch) ?? -1)
  }

  descriptor(table: string): TableDescriptor {
    const found = this.#tables.byName.get(table)?.descriptor
    if (found === undefined) throw new Error(`The simulation has no table ${table}.`)
    return found
  }

  /** Commits rows as given: raises versions, fills channels, and logs keys, all under one position. */
  commit({ rows, marks, deviceId }: Committed): Seq {
    const seq = toSeq(this.#head + 1)
    let logged = 0
    const entry = (part: Pick<LogEntry, 'channel' | 'table' | 'op'> & Partial<LogEntry>): void => {
      this.#log.push({ seq, organizationId: null, oldChannel: null, rowId: null, mutationId: null, deviceId, ...part })
      logged += 1
    }
    for (const [table, changed] of rows.changes()) {
      for (const row of changed.values()) {
        const before = this.rows.get(table, rowId(row))
        this.rows.put(table, row)
        this.#history.push({ seq, table, row })
        const oldChannel =
          before !== undefined && before['channel'] !== row['channel'] ? String(before['channel']) : null
        entry({
          table,
          rowId: rowId(row),
          op: 'upsert',
          channel: String(row['channel']),
          oldChannel,
          organizationId: (row['organizationId'] as string | null | undefined) ?? null,
        })
      }
    }
    for (const mark of marks)
      entry({
        table: '',
        op: 'mark',
        channel: `device/${mark.deviceId}`,
        mutationId: mark.mutationId,
        deviceId: mark.deviceId,
      })
    if (logged > 0) this.#head = seq
    return this.#head
  }

  canary(): void {
    const seq = toSeq(this.#head + 1)
    this.#log.push({
      seq,
      organizationId: null,
      oldChannel: null,
      rowId: null,
      mutationId: null,
      deviceId: null,
      table: '',
      op: 'mark',
      channel: 'canary',
    })
    this.#head = seq
  }

  /** A row as the next version of itself, or a new one: what triggers do in Postgres. */
  stamp(table: string, before: Row | undefined, values: Readonly<Record<string, unknown>>): Row {
    const descriptor = this.descriptor(table)
    const now = new Date(this.#clock.now()).toISOString()
    const blank = Object.fromEntries(
      Object.entries(descriptor.columns).map(([name, column]) => [name, column.default ?? null]),
    )
    const row = {
      ...blank,
      createdAt: now,
      ...before,
      ...values,
      version: Number(before?.['version'] ?? 0) + 1,
      updatedAt: now,
    } as Row
    return { ...row, channel: channelOf(descriptor, row) }
  }

  async state(): Promise<FeedState> {
    await this.#latency()
    return { epoch: this.epoch, former: this.#former, head: this.#head, prunedThrough: this.#prunedThrough }
  }

  async advance(from: Seq, request: AdvanceRequest): Promise<Step | TooFar> {
    await this.#latency()
    if (from < this.#prunedThrough)
      return { kind: 'too_far', epoch: this.#epoch, from, to: this.#head, moment: this.#head }
    const fold = new Fold()
    for (const entry of this.#log) if (entry.seq > from) fold.add(entry)
    const departures: Departure[] = []
    const keys = fold.keys()
    const all = new Map(keys.map((key) => [`${key.table}/${key.id}`, this.#change(key)]))
    for (const key of keys)
      for (const change of this.#rehung(key, departures))
        all.set(`${change.table}/${change.id}`, mergeFormer(all.get(`${change.table}/${change.id}`), change))
    const changes = [...all.values()]
      .filter(
        ({ organizationId }) =>
          organizationId === null || request.organizations === null || request.organizations.has(organizationId),
      )
      .filter(
        (change) =>
          change.table in accessColumns ||
          change.everywhere ||
          [...change.homes, ...change.formerHomes].some(request.follows),
      )
    return {
      kind: 'step',
      epoch: this.#epoch,
      from,
      to: this.#head,
      at: this.#clock.now(),
      moment: this.#head,
      embeddings: request.embeddings,
      changes,
      bytes: 0,
      departures,
      marks: fold.marks,
      resets: [],
      credentials: fold.credentials,
      canary: fold.canary,
      access: new Map(request.principals(changes).map((principal) => [principal, this.deviceAccess(principal)])),
      verified: request.verify === undefined ? null : this.#verify(request.verify),
    }
  }

  async page({ selection, after, maxRows }: PageRequest): Promise<PageResult> {
    await this.#latency()
    const [firstTable, afterId] = after === null ? [0, ''] : (JSON.parse(after) as [number, string])
    const blocks: PackedBlock[] = []
    let left = maxRows
    for (let index = firstTable; index < selection.tables.length; index++) {
      const table = selection.tables[index] ?? ''
      const rows = this.selected(selection, table).filter((row) => index > firstTable || rowId(row) > afterId)
      const taken = rows.slice(0, left)
      const descriptor = this.#tables.byName.get(table)?.descriptor
      if (taken.length > 0 && descriptor) blocks.push(packRows(descriptor, taken, selection))
      left -= taken.length
      const last = taken.at(-1)
      if (left === 0 && last !== undefined)
        return {
          from: this.#head,
          shows: this.#head,
          blocks,
          rows: maxRows,
          next: JSON.stringify([index, rowId(last)]),
        }
    }
    return { from: this.#head, shows: this.#head, blocks, rows: maxRows - left, next: null }
  }

  async access(principal: DevicePrincipal): Promise<AccessAnswer> {
    await this.#latency()
    return { access: this.deviceAccess(principal), moment: this.#head }
  }

  isRevoked(deviceId: string): boolean {
    return typeof this.rows.get('devices', deviceId)?.['revokedAt'] === 'string'
  }

  /** As `accessOf`, unless the device was revoked. */
  deviceAccess(principal: DevicePrincipal): Access {
    return this.isRevoked(principal.deviceId) ? { ...noAccess, refusal: 'device_revoked' } : this.accessOf(principal)
  }

  /** Who may follow what: members see projects of the organization and private ones they are members of. */
  accessOf(principal: Principal): Access {
    const live = (table: string): readonly Row[] =>
      this.rows
        .all(table)
        .filter((row) => row['deletedAt'] === null && row['organizationId'] === principal.organizationId)
    const property = principal.kind === 'user' ? 'userId' : 'agentId'
    const membership = live('organization_members').find(
      (row) => row['userId'] === principal.id && row['status'] === 'active',
    )
    if (principal.kind === 'user' && membership === undefined) return noAccess
    const role =
      principal.kind === 'agent' ? 'agent' : (String(membership?.['role']) as 'owner' | 'admin' | 'member' | 'viewer')
    const channels = new Map<string, typeof role>([
      ['global', role],
      [`organization/${principal.organizationId}`, role],
      [`${principal.kind}/${principal.id}`, role],
    ])
    for (const team of live('team_memberships').filter((row) => row[property] === principal.id))
      channels.set(`team/${String(team['teamId'])}`, role)
    const joined = new Set(
      live('project_members')
        .filter((row) => channels.has(guestChannel(row)))
        .map((row) => row['projectId']),
    )
    for (const project of live('projects')) {
      if (project['visibility'] === 'organization' || joined.has(rowId(project)))
        channels.set(`project/${rowId(project)}`, role)
    }
    return { active: true, channels }
  }

  /** All rows as they were at the end of a commit. */
  rowsAt(seq: number): SimRows {
    const rows = new SimRows()
    for (const change of this.#history) if (change.seq <= seq) rows.put(change.table, change.row)
    return rows
  }

  /** Everything a subscription of this selection should hold of a table, recomputed from nothing: the oracle. */
  selected(selection: Selection, table: string, rows: SimRows = this.rows): readonly Row[] {
    const filter = selection.where[table]
    const matches = filter === undefined ? () => true : compileFilter(this.descriptor(table), filter)
    return rows
      .all(table)
      .filter((row) => (row['organizationId'] ?? selection.organizationId) === selection.organizationId)
      .filter((row) => rowHomes(table, row, rows).includes(selection.channel) && matches(row))
      .toSorted((a, b) => (rowId(a) < rowId(b) ? -1 : 1))
  }

  #verify(selection: Selection): readonly VerifiedTable[] {
    return selection.tables.map((table) => {
      const sums = new RangeSums()
      for (const row of this.selected(selection, table)) sums.add(rowId(row), Number(row['version']))
      return { table, ranges: sums.toRanges() }
    })
  }

  #change(key: FoldedKey): Change {
    const row = this.rows.get(key.table, key.id) ?? null
    const homes = row === null ? [] : rowHomes(key.table, row, this.rows)
    const guest = key.table === 'project_members' && row !== null ? [guestChannel(row)] : []
    const seen = [...key.channels.flatMap((channel) => homesOf(channel, this.rows)), ...guest]
    return {
      seq: key.seq,
      table: key.table,
      id: key.id,
      organizationId: key.organizationId,
      row,
      homes,
      formerHomes: [...new Set(seen.filter((home) => !homes.includes(home)))],
      fresh: false,
      everywhere: row === null,
    }
  }

  /**
   * A parent that moved takes its sub-channel along: its children are told anew, and those left behind drop them. A
   * private project comes and goes with each membership.
   */
  #rehung(key: FoldedKey, departures: Departure[]): readonly Change[] {
    if (key.table === 'project_members') return this.#shared(key)
    const subChannel =
      key.table === 'memories' ? `memory/${key.id}` : key.table === 'conversations' ? `conversation/${key.id}` : null
    if (subChannel === null || key.channels.length < 2) return []
    const homes = homesOf(subChannel, this.rows)
    const left = key.channels.filter((channel) => !homes.includes(channel))
    departures.push({ channel: subChannel, organizationId: key.organizationId, left, homes })
    return ['memory_tags', 'conversation_participants', 'messages'].flatMap((table) =>
      this.rows
        .all(table)
        .filter((row) => row['channel'] === subChannel)
        .map((row): Change => ({
          seq: key.seq,
          table,
          id: rowId(row),
          organizationId: key.organizationId,
          row,
          homes,
          formerHomes: left,
          fresh: false,
          everywhere: false,
        })),
    )
  }

  #shared({ seq, id, organizationId }: FoldedKey): readonly Change[] {
    const member = this.rows.get('project_members', id)
    const row = this.rows.get('projects', String(member?.['projectId']))
    if (member === undefined || row === undefined) return []
    const homes = rowHomes('projects', row, this.rows)
    const formerHomes = [guestChannel(member)].filter((home) => !homes.includes(home))
    return [
      {
        seq,
        table: 'projects',
        id: rowId(row),
        organizationId,
        row,
        homes,
        formerHomes,
        fresh: false,
        everywhere: false,
      },
    ]
  }
}

function mergeFormer(known: Change | undefined, change: Change): Change {
  if (known === undefined) return change
  return {
    ...change,
    formerHomes: [...new Set([...known.formerHomes, ...change.formerHomes])].filter(
      (home) => !change.homes.includes(home),
    ),
  }
}
