import { TideError } from '../../protocol/error.ts'
import { blockIds } from '../../protocol/rows/block-codec.ts'
import type { PackedBlock } from '../../protocol/rows/block.ts'
import type { Query } from '../../protocol/rows/filter.ts'
import type { Row } from '../../protocol/rows/row.ts'
import type { Schema } from '../../protocol/rows/table.ts'
import { invariant } from '../../lib/invariant.ts'
import { CommitQueue } from './commit-queue.ts'
import { subChannels, tableOf, tablesOf, type Tables } from './holding.ts'
import { createCodecs, type Codecs } from './pglite-codecs.ts'
import { dropHeld, dropUnder, purge } from './pglite-holding.ts'
import type { Executor, PGliteLike } from './pglite-like.ts'
import { loadRecords, saveRecords } from './pglite-records.ts'
import { PgliteReader } from './pglite-rows.ts'
import { prepareSchema } from './pglite-schema.ts'
import { stageBlocks, stagedBlocks, stagedRows, unstage } from './pglite-staging.ts'
import { Vacuum } from './pglite-vacuum.ts'
import { PgliteWriter } from './pglite-write.ts'
import { absentColumns, checkPacked, checkRows, type TableRows } from './prepare-rows.ts'
import { storeError } from './store-error.ts'
import type { NearestRequest, ReplicaStore, StoreCommit, StoredState, Swap } from './store.ts'

export interface PgliteStoreOptions {
  readonly schema: Schema
  /** Opens the database, with the extension pgvector loaded. The store closes it. */
  readonly open: () => Promise<PGliteLike>
}

/**
 * A replica in PGlite: plain SQL over the synced tables, and as durable as the file system under it. A commit is one
 * transaction. Throws what `open` throws.
 */
export async function createPgliteStore({ schema, open }: PgliteStoreOptions): Promise<ReplicaStore> {
  const tables = tablesOf(schema)
  const database = await open().catch((error: unknown) => {
    throw storeError('The replica could not be opened', error)
  })
  try {
    await database.transaction((transaction) => prepareSchema(transaction, tables))
    await database.flush?.()
    return new PgliteStore(database, tables, await createCodecs(database))
  } catch (error) {
    await database.close()
    throw storeError('The replica could not be opened', error)
  }
}

interface Access {
  readonly reader: PgliteReader
  readonly writer: PgliteWriter
}

class PgliteStore implements ReplicaStore {
  readonly #database: PGliteLike
  readonly #tables: Tables
  readonly #codecs: Codecs
  readonly #access: ReadonlyMap<string, Access>
  readonly #commits: CommitQueue
  readonly #vacuum: Vacuum
  #closed = false

  constructor(database: PGliteLike, tables: Tables, codecs: Codecs) {
    this.#database = database
    this.#tables = tables
    this.#codecs = codecs
    this.#commits = new CommitQueue(database)
    this.#vacuum = new Vacuum(database)
    this.#access = new Map(
      [...tables].map(([name, table]) => [
        name,
        { reader: new PgliteReader(table, codecs), writer: new PgliteWriter(table, codecs) },
      ]),
    )
  }

  async load(): Promise<StoredState> {
    return this.#read((database) => database.transaction((transaction) => loadRecords(transaction, this.#tables)))
  }

  async rows(table: string, ids: readonly string[]): Promise<readonly Row[]> {
    return this.#read((database) => this.#of(table).reader.byIds(database, ids))
  }

  async query(table: string, query: Query): Promise<readonly Row[]> {
    return this.#read((database) => this.#of(table).reader.query(database, query))
  }

  async staged(subscription: string, table: string, ids: readonly string[]): Promise<readonly Row[]> {
    return this.#read((database) =>
      database.transaction((transaction) => stagedRows(transaction, this.#tables, subscription, table, ids)),
    )
  }

  async nearest(
    table: string,
    request: NearestRequest,
  ): Promise<readonly { readonly row: Row; readonly score: number }[]> {
    return this.#read((database) => this.#of(table).reader.nearest(database, request))
  }

  async sql(text: string, params: readonly unknown[]): Promise<readonly Readonly<Record<string, unknown>>[]> {
    return this.#open().transaction(async (transaction) => {
      await transaction.exec('set transaction read only')
      const { rows } = await transaction.query<Record<string, unknown>>(text, [...params], this.#codecs)
      return rows
    })
  }

  async commit(commit: StoreCommit): Promise<void> {
    this.#open()
    this.#check(commit)
    await this.#commits.add((transaction) => this.#apply(transaction, commit))
    this.#vacuum.start()
  }

  async close(): Promise<void> {
    if (this.#closed) return
    this.#closed = true
    await this.#commits.idle()
    await this.#vacuum.idle()
    await this.#database.close()
  }

  async #read<T>(read: (database: PGliteLike) => Promise<T>): Promise<T> {
    const database = this.#open()
    try {
      return await read(database)
    } catch (error) {
      throw storeError('The replica could not be read', error)
    }
  }

  /**
   * Refuses before anything is written what the database would refuse halfway, or keep although nobody could read it.
   */
  #check(commit: StoreCommit): void {
    for (const { table, upserts } of commit.rows ?? []) checkRows(tableOf(this.#tables, table), upserts)
    for (const block of [...(commit.stage?.blocks ?? []), ...(commit.blocks ?? [])]) checkPacked(this.#tables, block)
  }

  async #apply(transaction: Executor, commit: StoreCommit): Promise<void> {
    const { stage } = commit
    if (stage !== undefined) await stageBlocks(transaction, this.#codecs, stage.subscription, stage.blocks)
    if (commit.unstage !== undefined && commit.unstage.length > 0) await unstage(transaction, commit.unstage)
    for (const swap of commit.swaps ?? []) await this.#swap(transaction, swap)
    for (const table of commit.resets ?? []) await this.#of(table).writer.clear(transaction)
    for (const one of commit.purges ?? []) await purge(transaction, this.#tables, one)
    for (const one of commit.outdated ?? []) await dropUnder(transaction, this.#tables, one)
    // Many rows may have gone, and nobody has counted them.
    if ((commit.swaps ?? commit.resets ?? commit.purges) !== undefined) this.#vacuum.wrote(Infinity)
    for (const block of commit.blocks ?? []) await this.#putBlock(transaction, block)
    for (const { table, upserts, deletes } of commit.rows ?? []) {
      for (const group of groupByAbsent(tableOf(this.#tables, table), upserts)) await this.#put(transaction, group)
      await this.#of(table).writer.delete(transaction, deletes)
      this.#vacuum.wrote(deletes.length)
    }
    await saveRecords(transaction, this.#tables, commit)
    for (const changed of [commit.outbox, commit.states])
      this.#vacuum.wrote((changed?.puts.length ?? 0) + (changed?.deletes.length ?? 0))
  }

  async #swap(transaction: Executor, swap: Swap): Promise<void> {
    await dropHeld(transaction, this.#tables, swap)
    await this.#dropUnderStaged(transaction, swap)
    for await (const block of stagedBlocks(transaction, this.#tables, swap.subscription.id))
      await this.#putBlock(transaction, block)
    await unstage(transaction, [swap.subscription.id])
  }

  async #dropUnderStaged(transaction: Executor, { subscription, others: held }: Swap): Promise<void> {
    for (const table of new Set(subChannels(this.#tables).values())) {
      const ids: string[] = []
      for await (const packed of stagedBlocks(transaction, this.#tables, subscription.id, table))
        ids.push(...blockIds(packed))
      await dropUnder(transaction, this.#tables, { table, ids, held }, [subscription])
    }
  }

  async #putBlock(transaction: Executor, packed: PackedBlock): Promise<void> {
    await this.#of(packed.block.table).writer.putBlock(transaction, packed)
    this.#vacuum.wrote(packed.block.count)
  }

  async #put(transaction: Executor, { table, rows, absent }: TableRows): Promise<void> {
    await this.#of(table.name).writer.put(transaction, rows, absent)
    this.#vacuum.wrote(rows.length)
  }

  #of(table: string): Access {
    const access = this.#access.get(table)
    invariant(access !== undefined, `table ${table} is in the replica's schema`)
    return access
  }

  #open(): PGliteLike {
    if (this.#closed) throw new TideError('closed', 'The replica is closed.')
    if (this.#commits.broken !== null) throw this.#commits.broken
    return this.#database
  }
}

/** Rows with the same columns can be written by one statement. */
function groupByAbsent(table: TableRows['table'], rows: readonly Row[]): readonly TableRows[] {
  const groups = new Map<string, { absent: readonly string[]; rows: Row[] }>()
  for (const row of rows) {
    const absent = absentColumns(table, row)
    const key = absent.join()
    const group = groups.get(key)
    if (group === undefined) groups.set(key, { absent, rows: [row] })
    else group.rows.push(row)
  }
  return [...groups.values()].map((group) => ({ table, ...group }))
}
