import type { Mutation, Outcome } from '../../protocol/messages/mutation.ts'
import { TideError } from '../../protocol/error.ts'
import { rowId, type Row } from '../../protocol/rows/row.ts'
import type {
  LedgerEntry,
  MutationStore,
  MutationTransaction,
  StoredOutcome,
  WriteResult,
} from '../../server/mutation/mutation-store.ts'
import type { DevicePrincipal } from '../../server/scope/principal.ts'
import type { SimDatabase } from './sim-database.ts'
import type { Happening, Tally } from './tally.ts'
import { SimRows } from './sim-rows.ts'

interface Device {
  lastClientSeq: number
  readonly idsBySeq: Map<number, string>
}

interface Stored extends StoredOutcome {
  readonly deviceId: string
}

/** How a crash may come: before the commit (nothing happened) or after it (it happened, and nobody was told). */
export type CrashPoint = 'none' | 'before_commit' | 'after_commit'

export class SimulatedCrash extends Error {
  override readonly name = 'SimulatedCrash'
}

export interface SimMutationStoreParts {
  readonly database: SimDatabase
  readonly latency: () => Promise<void>
  /** Asked at each commit: whether the server dies there. */
  readonly crashAt: () => CrashPoint
  readonly tally: Tally
}

/** The ledger and the transactions of the mutation room, over the simulated database. One transaction at a time. */
export class SimMutationStore implements MutationStore {
  readonly #database: SimDatabase
  readonly #latency: () => Promise<void>
  readonly #crash: () => CrashPoint
  readonly #tally: Tally
  readonly #devices = new Map<string, Device>()
  readonly #ledger = new Map<string, Stored>()
  /** How often each mutation took effect: promise 4 wants at most once. */
  readonly effects = new Map<string, number>()
  /** Applied increments of `reinforcementCount` by memory. */
  readonly increments = new Map<string, number>()
  /** All mutations that were ever refused, in whatever history: their devices were told. */
  readonly refused = new Set<string>()
  #last: Promise<unknown> = Promise.resolve()
  /** Counts restorations: what was under way before one is never committed. */
  #generation = 0

  constructor({ database, latency, crashAt, tally }: SimMutationStoreParts) {
    this.#database = database
    this.#latency = latency
    this.#crash = crashAt
    this.#tally = tally
  }

  /** The ledger as it is now; what it answers brings it back. */
  backUp(): () => void {
    const devices = [...this.#devices].map(([id, device]) => [id, copyOf(device)] as const)
    const [ledger, effects, increments] = [[...this.#ledger], [...this.effects], [...this.increments]]
    return () => {
      this.#generation += 1
      refill(
        this.#devices,
        devices.map(([id, device]) => [id, copyOf(device)]),
      )
      refill(this.#ledger, ledger)
      refill(this.effects, effects)
      refill(this.increments, increments)
    }
  }

  lastClientSeq(deviceId: string): number {
    return this.#devices.get(deviceId)?.lastClientSeq ?? 0
  }

  outcomeOf(mutationId: string): StoredOutcome | undefined {
    return this.#ledger.get(mutationId)
  }

  outcomes(): readonly Outcome[] {
    return [...this.#ledger.values()].map(({ outcome }) => outcome)
  }

  transaction<T>(principal: DevicePrincipal, work: (transaction: MutationTransaction) => Promise<T>): Promise<T> {
    const turn = this.#last.then(() => this.#run(principal, work))
    this.#last = turn.catch(() => undefined)
    return turn
  }

  async #run<T>(principal: DevicePrincipal, work: (transaction: MutationTransaction) => Promise<T>): Promise<T> {
    const generation = this.#generation
    await this.#latency()
    const layers = [new SimRows(this.#database.rows)]
    const records: LedgerEntry[] = []
    const repeats: string[] = []
    const recounted: Pick<Mutation, 'id' | 'clientSeq'>[] = []
    const result = await work(this.#transaction(principal, layers, records, { repeats, recounted }))
    await this.#latency()
    if (generation !== this.#generation) throw new SimulatedCrash('The database was replaced.')
    const crash = this.#crash()
    if (crash !== 'none')
      this.#tally.add(crash === 'before_commit' ? 'server died before a commit' : 'server died after a commit')
    if (crash === 'before_commit') throw new SimulatedCrash('The server died before the commit.')
    const [rows] = layers
    for (const { id, clientSeq } of recounted) this.#count(principal, id, clientSeq)
    if (rows !== undefined) this.#commit(principal, rows, records, repeats)
    if (crash === 'after_commit') throw new SimulatedCrash('The server died after the commit.')
    return result
  }

  #commit(
    principal: DevicePrincipal,
    rows: SimRows,
    records: readonly LedgerEntry[],
    repeats: readonly string[],
  ): void {
    if (repeats.length > 0) this.#tally.add('write answered again', repeats.length)
    for (const { mutation, outcome } of records) {
      countWrite(this.#tally, mutation, outcome)
      this.#ledger.set(mutation.id, { deviceId: principal.deviceId, op: mutation.op, outcome })
      if (outcome.kind === 'rejected') this.refused.add(mutation.id)
      this.#count(principal, mutation.id, mutation.clientSeq)
      this.effects.set(mutation.id, (this.effects.get(mutation.id) ?? 0) + 1)
      const amount = mutation.inc?.['reinforcementCount']
      if (amount !== undefined && outcome.kind === 'applied')
        this.increments.set(mutation.rowId, (this.increments.get(mutation.rowId) ?? 0) + amount)
    }
    const marked = [...records.map(({ mutation }) => mutation.id), ...repeats]
    const marks = marked.map((mutationId) => ({ mutationId, deviceId: principal.deviceId }))
    this.#database.commit({ rows, marks, deviceId: principal.deviceId })
  }

  #count({ deviceId }: DevicePrincipal, id: string, clientSeq: number): void {
    const device = this.#device(deviceId)
    device.idsBySeq.set(clientSeq, id)
    device.lastClientSeq = Math.max(device.lastClientSeq, clientSeq)
  }

  #device(id: string): Device {
    const device = this.#devices.get(id) ?? { lastClientSeq: 0, idsBySeq: new Map<number, string>() }
    this.#devices.set(id, device)
    return device
  }

  #transaction(
    principal: DevicePrincipal,
    layers: SimRows[],
    records: LedgerEntry[],
    { repeats, recounted }: { readonly repeats: string[]; readonly recounted: Pick<Mutation, 'id' | 'clientSeq'>[] },
  ): MutationTransaction {
    const database = this.#database
    const top = (): SimRows => layers.at(-1) ?? database.rows
    return {
      begin: async (mutations) => {
        if (database.isRevoked(principal.deviceId)) throw new TideError('device_revoked', 'The device is revoked.')
        const device = this.#device(principal.deviceId)
        const outcomes = new Map<string, StoredOutcome>()
        for (const id of mutations.flatMap((mutation) => [mutation.id, ...(mutation.dependsOn ?? [])])) {
          const stored = this.#ledger.get(id)
          if (stored?.deviceId === principal.deviceId) outcomes.set(id, stored)
        }
        return { lastClientSeq: device.lastClientSeq, outcomes, idsBySeq: device.idsBySeq }
      },
      access: () => Promise.resolve(database.accessOf(principal)),
      rows: (table, ids) => Promise.resolve(ids.map((id) => top().get(table, id)).filter((row) => row !== undefined)),
      grantees: async () => [],
      hasOtherOwner: async () => true,
      keepsFor: async () => null,
      // No table of the simulation has places that one row at a time has.
      holder: async () => null,
      references: (table, ids) =>
        Promise.resolve(
          ids.flatMap((id) => {
            const row = top().get(table, id)
            return row === undefined ? [] : [{ id, channel: String(row['channel']), deleted: isDeleted(row) }]
          }),
        ),
      openConflicts: (table, ids) =>
        Promise.resolve(
          top()
            .all('sync_conflicts')
            .filter(
              (row) =>
                row['status'] === 'open' &&
                row['tableName'] === table &&
                ids.includes(String(row['rowId'])) &&
                row[principal.kind === 'user' ? 'userId' : 'agentId'] === principal.id,
            ),
        ),
      write: (writes) => {
        const layer = new SimRows(top())
        const rows: Row[] = []
        for (const write of writes) {
          const id = write.kind === 'insert' ? String(write.values['id']) : write.id
          const before = layer.get(write.table, id)
          if ((write.kind === 'insert') !== (before === undefined)) return Promise.resolve(refused(write.table, id))
          const values = write.kind === 'insert' ? write.values : { ...write.set, ...incremented(before, write.inc) }
          const row = database.stamp(write.table, before, values)
          layer.put(write.table, row)
          rows.push(row)
        }
        layer.keep()
        return Promise.resolve({ kind: 'written', rows })
      },
      cascade: (table, id, change) => Promise.resolve(this.#cascade(top(), table, id, change.kind, change.deletedAt)),
      async attempt(work) {
        const layer = new SimRows(top())
        layers.push(layer)
        try {
          const result = await work()
          if (result.keep) layer.keep()
          return result
        } finally {
          layers.pop()
        }
      },
      record: (entries) => {
        records.push(...entries)
        return Promise.resolve()
      },
      recount: (mutations) => {
        recounted.push(...mutations)
        return Promise.resolve()
      },
      markAgain: (ids) => {
        repeats.push(...ids)
        return Promise.resolve()
      },
    }
  }

  /** Children by the `via` rule and by `parentTaskId`: what the workload has. */
  #cascade(rows: SimRows, table: string, id: string, kind: 'delete' | 'restore', deletedAt: string): number {
    const children: readonly (readonly [string, string])[] = [
      ...(table === 'tasks' ? [['tasks', 'parentTaskId'] as const] : []),
      ...(table === 'memories' ? [['memory_tags', 'memoryId'] as const] : []),
      ...(table === 'conversations' ? [['messages', 'conversationId'] as const] : []),
    ]
    let count = 0
    for (const [child, column] of children) {
      for (const row of rows.all(child)) {
        const isTaken = kind === 'delete' ? row['deletedAt'] === null : row['deletedAt'] === deletedAt
        if (row[column] !== id || !isTaken) continue
        rows.put(child, this.#database.stamp(child, row, { deletedAt: kind === 'delete' ? deletedAt : null }))
        count += 1 + this.#cascade(rows, child, rowId(row), kind, deletedAt)
      }
    }
    return count
  }
}

const endings = {
  applied: 'write applied',
  merged: 'write merged',
  noop: 'write without effect',
  conflict: 'write in conflict',
  rejected: 'write rejected',
} as const satisfies Readonly<Record<Outcome['kind'], Happening>>

const effectsOf: { readonly [op in Mutation['op']]?: Happening } = {
  insert: 'insert applied',
  patch: 'patch applied',
  increment: 'increment applied',
  delete: 'delete applied',
  restore: 'restore applied',
  resolve: 'conflict settled',
}

function countWrite(tally: Tally, { op, group }: Mutation, { kind, error }: Outcome): void {
  tally.add(endings[kind])
  if (error !== undefined) tally.add(`rejected: ${error.code}`)
  const effect = kind === 'applied' || kind === 'merged' ? effectsOf[op] : undefined
  if (effect !== undefined) tally.add(effect)
  if (group !== undefined && kind !== 'noop') tally.add(kind === 'rejected' ? 'group refused' : 'group applied')
}

function copyOf({ lastClientSeq, idsBySeq }: Device): Device {
  return { lastClientSeq, idsBySeq: new Map(idsBySeq) }
}

function refill<K, V>(map: Map<K, V>, entries: readonly (readonly [K, V])[]): void {
  map.clear()
  for (const [key, value] of entries) map.set(key, value)
}

function isDeleted(row: Row): boolean {
  return row['deletedAt'] !== null && row['deletedAt'] !== undefined
}

function incremented(row: Row | undefined, inc: Readonly<Record<string, number>>): Readonly<Record<string, number>> {
  return Object.fromEntries(Object.entries(inc).map(([name, amount]) => [name, Number(row?.[name] ?? 0) + amount]))
}

function refused(table: string, id: string): WriteResult {
  return {
    kind: 'refused',
    refusal: { code: 'unique_violated', message: `${table} has a row ${id} already.`, table, columns: ['id'] },
  }
}
