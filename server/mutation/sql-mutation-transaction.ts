import { DatabaseError, type PoolClient } from 'pg'
import { uuidFromKey } from '../../lib/uuid-from-key.ts'
import { isSubChannel } from '../../protocol/rows/channel.ts'
import { rowId, type Row } from '../../protocol/rows/row.ts'
import type { ExclusiveRule } from '../../protocol/rows/table.ts'
import type { Mutation, Outcome } from '../../protocol/messages/mutation.ts'
import { TideError } from '../../protocol/error.ts'
import type { Catalog, SyncedTable } from '../catalog/catalog.ts'
import { binarySelectList, queryRaw, RowDecoder } from '../db/row-packer.ts'
import { loadAccess, type Access } from '../scope/access.ts'
import { cascade, type Cascade } from '../scope/cascade.ts'
import type { DevicePrincipal } from '../scope/principal.ts'
import type { Grantee, Homes } from '../scope/homes.ts'
import type { SqlQuery } from '../scope/sql-query.ts'
import { ledgerRecords } from './ledger-record.ts'
import type {
  DeviceLedger,
  LedgerEntry,
  MutationTransaction,
  Place,
  ReferenceTarget,
  StoredOutcome,
  Write,
  WriteResult,
} from './mutation-store.ts'
import { mergedDocuments } from './merged-documents.ts'
import {
  keyColumns,
  lockDevice,
  lockOrganization,
  markMutations,
  otherOwner,
  readLedger,
  readRetention,
  recordMutations,
  recountMutations,
  referencedUsers,
  tellMergedDocuments,
} from './mutation.sql.ts'
import { isTakenId, toWriteRefusal, type BrokenKey, type WriteRefusal } from '../db/sql-refusal.ts'
import { tableOf, toStatements } from './write-sql.ts'

/** Vectors are not decided about. */
const bare = { embeddings: false } as const
const decoders = new WeakMap<SyncedTable, RowDecoder>()

function decoderOf(table: SyncedTable): RowDecoder {
  const decoder = decoders.get(table) ?? new RowDecoder(table, bare)
  decoders.set(table, decoder)
  return decoder
}

/** Another transaction inserted a row that this one had looked for in vain; run again, this one will see it. */
export class RowTakenError extends Error {
  override readonly name = 'RowTakenError'
}

/** The database refused a write that no savepoint protects; run again with them, only that write is undone. */
export class UnprotectedWriteError extends Error {
  override readonly name = 'UnprotectedWriteError'
}

interface DeviceRow {
  readonly user_id: string | null
  readonly agent_id: string | null
  readonly organization_id: string
  readonly revoked: boolean
}

interface LedgerRow {
  readonly id: string | null
  readonly own: boolean
  readonly client_seq: number
  readonly op: Mutation['op']
  /** Of its own only. */
  readonly result: Outcome
}

interface TargetRow {
  readonly id: string
  readonly channel: string
  readonly deleted: boolean
  readonly also?: string | null
}

export interface SqlTransactionParts {
  readonly client: PoolClient
  readonly catalog: Catalog
  readonly homes: Homes
  readonly principal: DevicePrincipal
  readonly isLastAttempt: boolean
  /** Whether each write has a savepoint; without, a refusal by the database throws `UnprotectedWriteError`. */
  readonly savepoints: boolean
}

/** One open transaction on one connection. */
export class SqlMutationTransaction implements MutationTransaction {
  readonly #client: PoolClient
  readonly #catalog: Catalog
  readonly #homes: Homes
  readonly #principal: DevicePrincipal
  readonly #isLastAttempt: boolean
  readonly #isProtected: boolean
  #savepoints = 0
  /** A savepoint whose work is done and which is still open. */
  #finished: string | undefined

  constructor({ client, catalog, homes, principal, isLastAttempt, savepoints }: SqlTransactionParts) {
    this.#client = client
    this.#catalog = catalog
    this.#homes = homes
    this.#principal = principal
    this.#isLastAttempt = isLastAttempt
    this.#isProtected = savepoints
  }

  readonly #query: SqlQuery = async <R extends object>(statement: {
    text: string
    name?: string
    values?: readonly unknown[]
  }) => {
    const { rows } = await this.#client.query<R>({ ...statement, values: [...(statement.values ?? [])] })
    return rows
  }

  async begin(mutations: readonly Pick<Mutation, 'id' | 'clientSeq' | 'dependsOn'>[]): Promise<DeviceLedger> {
    const { deviceId } = this.#principal
    const [device] = await this.#query<DeviceRow>({ ...lockDevice, values: [deviceId] })
    this.#checkDevice(device)
    const ids = mutations.flatMap(({ id, dependsOn = [] }) => [id, ...dependsOn])
    const rows = await this.#query<LedgerRow>({
      ...readLedger,
      values: [ids, mutations.map(({ clientSeq }) => clientSeq)],
    })
    const outcomes = new Map<string, StoredOutcome>()
    const idsBySeq = new Map<number, string>()
    const foreign = new Set<string>()
    let lastClientSeq = 0
    for (const { id, own, client_seq: clientSeq, op, result } of rows) {
      if (id === null) lastClientSeq = clientSeq
      else if (!own) foreign.add(id)
      else {
        // The id under which it was sent; another than the row's own when that was taken by another device.
        outcomes.set(result.mutationId, { op, outcome: result })
        idsBySeq.set(clientSeq, result.mutationId)
      }
    }
    return { lastClientSeq, outcomes, idsBySeq, foreign }
  }

  #checkDevice(device: DeviceRow | undefined): void {
    const { deviceId, kind, id, organizationId } = this.#principal
    if (!device || device.revoked) throw new TideError('device_revoked', `Device ${deviceId} is revoked or unknown.`)
    const owner = kind === 'user' ? device.user_id : device.agent_id
    if (owner === id && device.organization_id === organizationId) return
    throw new TideError(
      'device_principal_mismatch',
      `Device ${deviceId} does not belong to the ${kind} ${id} in organization ${organizationId}.`,
    )
  }

  access(): Promise<Access> {
    return loadAccess(this.#query, this.#principal)
  }

  rows(name: string, ids: readonly string[]): Promise<readonly Row[]> {
    const table = tableOf(this.#catalog, name)
    // No key update: inserts of children (which lock their parent's key) need not wait. What clients cannot change is
    // not locked.
    const lock = table.direction === 'rw' ? 'for no key update' : ''
    return this.#select(table, {
      name: `mutation_rows_${name}`,
      text: `select ${binarySelectList(table, bare)} from "${name}" where id = any($1::uuid[]) order by id ${lock}`,
      values: [ids],
    })
  }

  grantees(name: string, id: string): Promise<readonly Grantee[]> {
    return this.#homes.editorsOf(this.#query, name, id)
  }

  openConflicts(name: string, rowIds: readonly string[]): Promise<readonly Row[]> {
    const conflicts = tableOf(this.#catalog, 'sync_conflicts')
    const { kind, id } = this.#principal
    return this.#select(conflicts, {
      name: `mutation_conflicts_${kind}`,
      text: `select ${binarySelectList(conflicts, bare)} from sync_conflicts
        where table_name = $1 and row_id = any($2::uuid[]) and status = 'open' and ${kind}_id = $3 order by id for no key update`,
      values: [name, rowIds, id],
    })
  }

  async references(name: string, ids: readonly string[]): Promise<readonly ReferenceTarget[]> {
    if (name === 'users') {
      const users = await this.#query<TargetRow>({ ...referencedUsers, values: [ids, this.#principal.organizationId] })
      return users.map(({ also, ...user }) => ({ ...user, also: also ? [also] : [] }))
    }
    const table = tableOf(this.#catalog, name)
    const targets = await this.#query<TargetRow>({
      name: `mutation_references_${name}`,
      // A shared lock, so that a parent cannot be deleted while it gets a child that its delete would not see.
      text: `select id, channel, ${table.softDelete ? 'deleted_at is not null' : 'false'} as deleted
        from "${name}" where id = any($1::uuid[]) order by id for share`,
      values: [ids],
    })
    const kindOfRow = this.#homes.kindOf(name)
    const channelOf = (target: TargetRow): string =>
      kindOfRow !== undefined ? `${kindOfRow}/${target.id}` : target.channel
    const shared = targets.map(channelOf).filter((channel) => kindOfRow !== undefined || isSubChannel(channel))
    const homes =
      shared.length === 0 ? new Map<string, readonly string[]>() : await this.#homes.homesOf(this.#query, shared)
    return targets.map((target) => ({ ...target, also: homes.get(channelOf(target)) ?? [] }))
  }

  async hasOtherOwner(userId: string): Promise<boolean> {
    const { organizationId } = this.#principal
    // Two owners who take the role from each other at once wait here, so that the second sees what the first has done.
    await this.#query({ ...lockOrganization, values: [organizationId] })
    return (await this.#query({ ...otherOwner, values: [organizationId, userId] })).length > 0
  }

  async holder(
    name: string,
    { flag, by }: ExclusiveRule,
    { organizationId, key, except }: Place,
  ): Promise<string | null> {
    const table = tableOf(this.#catalog, name)
    const sqlName = (property: string): string => `"${table.descriptor.columns[property]?.name ?? property}"`
    // Two devices that give the place at once wait here, so that the second sees to whom the first has given it.
    const place = JSON.stringify([name, organizationId, ...key])
    await this.#query({ text: 'select pg_advisory_xact_lock(hashtextextended($1, 0))', values: [place] })
    const alike = by.map((property, index) => ` and ${sqlName(property)} is not distinct from $${index + 3}`).join('')
    const [row] = await this.#query<{ id: string }>({
      text: `select id from "${name}" where organization_id = $1 and id <> $2 and ${sqlName(flag)} and deleted_at is null${alike} limit 1`,
      values: [organizationId, except, ...key],
    })
    return row?.id ?? null
  }

  async keepsFor(table: string): Promise<number | null> {
    const [policy] = await this.#query<{ ms: number | null }>({
      ...readRetention,
      values: [table, this.#principal.organizationId],
    })
    return policy?.ms ?? null
  }

  async write(writes: readonly Write[]): Promise<WriteResult> {
    const statements = toStatements(this.#catalog, writes)
    const merged = mergedDocuments(writes)
    const rows: Row[] = []
    const refusal = await this.#savepoint(
      async () => {
        if (merged) await this.#query({ ...tellMergedDocuments, values: [merged] })
        for (const { table, ids, places, text, rows: values } of statements) {
          const stored = await this.#select(table, { text, values: [values] })
          const byId = new Map(stored.map((row) => [rowId(row), row]))
          for (const [index, id] of ids.entries()) {
            const row = byId.get(id)
            if (row) rows[places[index] ?? 0] = row
          }
        }
        if (merged) await this.#query({ ...tellMergedDocuments, values: [''] })
      },
      writes[0]?.table ?? '',
      writes,
    )
    return refusal ? { kind: 'refused', refusal } : { kind: 'written', rows }
  }

  async cascade(name: string, id: string, change: Cascade): Promise<number | WriteRefusal> {
    let count = 0
    const refusal = await this.#savepoint(async () => {
      count = await cascade(this.#query, this.#catalog, name, id, change)
    }, name)
    return refusal ?? count
  }

  async attempt<T extends { readonly keep: boolean }>(work: () => Promise<T>): Promise<T> {
    const name = await this.#openSavepoint()
    const result = await work()
    await this.#client.query(result.keep ? `release ${name}` : `rollback to ${name}; release ${name}`)
    // Ended with the one around it.
    this.#finished = undefined
    return result
  }

  async record(entries: readonly LedgerEntry[]): Promise<void> {
    const { deviceId, organizationId, kind, id } = this.#principal
    const [user, agent] = kind === 'user' ? [id, null] : [null, id]
    await this.#query({ ...recordMutations, values: [ledgerRecords(entries), deviceId, organizationId, user, agent] })
  }

  async markAgain(mutationIds: readonly string[]): Promise<void> {
    const { deviceId, organizationId } = this.#principal
    await this.#query({ ...markMutations, values: [mutationIds, deviceId, organizationId] })
  }

  async recount(mutations: readonly Pick<Mutation, 'id' | 'clientSeq'>[]): Promise<void> {
    const { deviceId } = this.#principal
    // A mutation whose id is another device's has a row of another id.
    const places = mutations.flatMap(({ id, clientSeq }) => [
      { id, clientSeq },
      { id: uuidFromKey('sync_mutations', [deviceId, id]), clientSeq },
    ])
    await this.#query({
      ...recountMutations,
      values: [places.map(({ id }) => id), places.map(({ clientSeq }) => clientSeq)],
    })
  }

  async #select(
    table: SyncedTable,
    statement: { readonly name?: string; readonly text: string; readonly values: readonly unknown[] },
  ): Promise<readonly Row[]> {
    const decoder = decoderOf(table)
    const rows: Row[] = []
    await queryRaw(this.#client, { ...statement, values: [...statement.values] }, (bytes, offset) =>
      rows.push(decoder.decode(bytes, offset)),
    )
    return rows
  }

  /** Runs statements, made of the writes, so that a refusal by the database undoes them and nothing else. */
  async #savepoint(
    work: () => Promise<void>,
    table: string,
    writes: readonly Write[] = [],
  ): Promise<WriteRefusal | undefined> {
    const name = this.#isProtected ? await this.#openSavepoint() : undefined
    try {
      await work()
      if (name !== undefined) this.#finished = name
      return undefined
    } catch (error) {
      if (!(error instanceof DatabaseError)) throw error
      if (isTakenId(error) && !this.#isLastAttempt) throw new RowTakenError(error.message, { cause: error })
      if (!toWriteRefusal(error, table)) throw error
      if (name === undefined) throw new UnprotectedWriteError(error.message, { cause: error })
      await this.#client.query(`rollback to ${name}; release ${name}`)
      return toWriteRefusal(error, table, await this.#brokenKey(error, writes))
    }
  }

  /** The key that was broken, when the error does not say so itself. */
  async #brokenKey(error: DatabaseError, writes: readonly Write[]): Promise<BrokenKey | undefined> {
    const { code, detail, constraint, schema, table } = error
    if (detail !== undefined || constraint === undefined || !['23503', '23505'].includes(code ?? '')) return undefined
    const rows = await this.#query<{ name: string }>({ ...keyColumns, values: [constraint, `"${schema}"."${table}"`] })
    const [write, ...others] = writes.filter((one) => one.table === table)
    const values = write?.kind === 'insert' ? write.values : write?.set
    return { columns: rows.map(({ name }) => name), written: others.length === 0 ? (values ?? {}) : {} }
  }

  /** In one message with the release of the savepoint before, which need not be released before the commit. */
  async #openSavepoint(): Promise<string> {
    const name = `s${++this.#savepoints}`
    await this.#client.query(`${this.#finished === undefined ? '' : `release ${this.#finished}; `}savepoint ${name}`)
    this.#finished = undefined
    return name
  }
}
