import type { EntityData, EntitySchema, FilterQuery, InferEntity, RequiredEntityData } from '@mikro-orm/core'
import type { EntityManager } from '@mikro-orm/postgresql'
import type pg from 'pg'
import { TideError } from '../../protocol/error.ts'
import type { Catalog, CatalogTable } from '../catalog/catalog.ts'
import { cascade } from '../scope/cascade.ts'
import type { Homes } from '../scope/homes.ts'
import type { SqlQuery, SqlStatement } from '../scope/sql-query.ts'
import type { FewRows } from '../search/few-rows.ts'
import type { Actor } from './actor.ts'
import { afterCursor, toCursor, totalOrder, type Order } from './keyset.ts'
import { toWriteError, type Values } from './write-error.ts'

/** Any table, as `defineTable` returns it. */
export type Table = EntitySchema

/**
 * A row of the table, columns in camelCase: times are `Date`, embeddings `Float32Array`. Secret columns are not in its
 * JSON.
 */
export type RowOf<T extends Table> = InferEntity<T>

/** What the database and the actor fill in. */
type Filled = 'channel' | 'organizationId'

/** A new row: required columns, and any others. The organization is the actor's unless another one is named. */
export type NewRow<T extends Table> = Omit<RequiredEntityData<RowOf<T>>, Filled> &
  Partial<Pick<EntityData<RowOf<T>>, Filled & keyof EntityData<RowOf<T>>>>

export type PatchOf<T extends Table> = EntityData<RowOf<T>>

/** Conditions as MikroORM has them: `{ status: 'pending', priorityRank: { $gte: 3 } }`. */
export type Where<T extends Table> = FilterQuery<RowOf<T>>

/** The id; of the one table without, all columns of the key. */
export type Key = string | number | Readonly<Record<string, string | number>>

export interface ListOptions<T extends Table> {
  readonly where?: Where<T>
  /** Default: by id, which is the order in which rows were made. */
  readonly orderBy?: readonly (readonly [keyof RowOf<T> & string, 'asc' | 'desc'])[]
  /** Rows of a page, 1 to 1,000. */
  readonly limit?: number
  /** `next` of the page before, of a list in the same order. */
  readonly after?: string | undefined
  /** Soft-deleted rows as well. */
  readonly withDeleted?: boolean
  /** With their embeddings, which are left out otherwise: they are most of what a row weighs. */
  readonly embeddings?: boolean
}

export interface Page<T extends Table> {
  readonly rows: readonly RowOf<T>[]
  /** Absent on the last page. */
  readonly next?: string
}

/** What a repository works with, of the unit that it belongs to. */
export interface RepositoryParts {
  readonly em: EntityManager
  readonly query: SqlQuery
  /** For rows of `query` that become rows of the ORM. */
  readonly ormTypes: pg.CustomTypesConfig
  /** Of all units. */
  readonly few: FewRows
  readonly catalog: Catalog
  /** Of that catalog. */
  readonly homes: Homes
  readonly actor: Actor
  /** A time for a delete that is given out once; see `scope/cascade.ts`. */
  readonly deleteTime: () => string
}

/** Rows of the largest page. */
export const pageLimit = 1000
/** Rows of one INSERT. */
const bulkRows = 500

/**
 * Reads and writes one table inside a unit. Rows of other organizations are not there for it; rows that belong to none
 * (shipped with the system) are read and not written. The database does the rest: channels, versions, times, and what
 * else triggers compute, so every answer is the row as stored.
 *
 * Errors, all with table, column and value: `not_found`, `row_deleted`, `version_conflict`, `unique_violated`,
 * `foreign_key_violated`, `constraint_violated`, `invalid_value`.
 */
export class Repository<T extends Table> {
  protected readonly parts: RepositoryParts
  protected readonly table: CatalogTable
  readonly #entity: T
  /** Properties that are read: all but what full-text search alone reads. */
  readonly #fields: readonly string[]
  readonly #vectors: ReadonlySet<string>

  constructor(parts: RepositoryParts, entity: T) {
    this.parts = parts
    this.#entity = entity
    this.table = tableOf(parts.catalog, entity.meta.tableName)
    const columns = this.table.sqlColumns
    this.#fields = columns.filter(({ sqlType }) => sqlType !== 'tsvector').map(({ property }) => property)
    const vectors = columns.filter(({ sqlType }) => sqlType.startsWith('vector'))
    this.#vectors = new Set(vectors.map(({ property }) => property))
  }

  /** Undefined when it is not there, or deleted. */
  async get(key: Key, { withDeleted = false } = {}): Promise<RowOf<T> | undefined> {
    const [row] = await this.#find([this.#keyIs(key), this.#readable(withDeleted)], [], 1)
    return row
  }

  /** `get` that throws `not_found`. */
  async need(key: Key): Promise<RowOf<T>> {
    return (await this.get(key)) ?? this.#missing(key)
  }

  /** One page, which stays the same whatever is inserted before it. */
  async list(options: ListOptions<T> = {}): Promise<Page<T>> {
    const { where, orderBy = [], withDeleted = false, embeddings = false, after } = options
    const limit = pageSize(options.limit ?? 50)
    const order = totalOrder(this.table, orderBy)
    const conditions = [where, this.#readable(withDeleted), after && afterCursor(this.table, order, after)]
    const found = await this.#find(conditions, order, limit + 1, embeddings)
    const rows = found.slice(0, limit)
    const last = rows.at(-1)
    return found.length > limit && last ? { rows, next: toCursor(order, last) } : { rows }
  }

  async count(where?: Where<T>): Promise<number> {
    return this.#run(() => this.parts.em.count(this.#entity, this.#all([where, this.#readable(false)])))
  }

  async exists(where: Where<T>): Promise<boolean> {
    return (await this.#find([where, this.#readable(false)], [], 1)).length > 0
  }

  async create(values: NewRow<T>): Promise<RowOf<T>> {
    const [row] = await this.#insert([values])
    return row ?? this.#missing('new')
  }

  /** All of them or none, in as few statements as fit. */
  async createMany(values: readonly NewRow<T>[]): Promise<readonly RowOf<T>[]> {
    const rows: RowOf<T>[] = []
    for (let start = 0; start < values.length; start += bulkRows)
      rows.push(...(await this.#insert(values.slice(start, start + bulkRows))))
    return rows
  }

  /**
   * Changes a row. With `version` only if it still has that version: else `version_conflict`, and nothing is changed.
   */
  async patch(key: Key, set: PatchOf<T>, { version }: { readonly version?: number } = {}): Promise<RowOf<T>> {
    const [row] = await this.#update([this.#keyIs(key), this.#writable(), version !== undefined && { version }], set)
    return row ?? this.#refuse(key, version)
  }

  /** Changes all rows that the condition selects; answers how many. */
  async patchMany(where: Where<T>, set: PatchOf<T>): Promise<number> {
    const selected = this.#all([where, this.#writable()])
    if (Object.keys(set).length === 0) return this.#run(() => this.parts.em.count(this.#entity, selected))
    return this.#run(() => this.parts.em.nativeUpdate(this.#entity, selected, set), set)
  }

  /**
   * Deletes a row and what belongs to it, so that `restore` brings it back. Of a table without soft delete: `remove`.
   */
  async softDelete(key: string, { version }: { readonly version?: number } = {}): Promise<void> {
    if (!this.table.softDelete) return this.remove(key)
    const deletedAt = this.parts.deleteTime()
    await this.patch(key, { deletedAt: new Date(deletedAt) } as PatchOf<T>, version === undefined ? {} : { version })
    await this.#run(() =>
      cascade(this.parts.query, this.parts.catalog, this.table.name, key, { kind: 'delete', deletedAt }),
    )
  }

  /** Brings back what one `softDelete` took. A row that is not deleted stays as it is. */
  async restore(key: string): Promise<RowOf<T>> {
    const row = (await this.get(key, { withDeleted: true })) ?? this.#missing(key)
    const { deletedAt } = row as { readonly deletedAt?: Date | null }
    if (!deletedAt) return row
    const [restored] = await this.#update([this.#keyIs(key), this.#ownRows()], { deletedAt: null } as PatchOf<T>)
    await this.#run(() =>
      cascade(this.parts.query, this.parts.catalog, this.table.name, key, {
        kind: 'restore',
        deletedAt: deletedAt.toISOString(),
      }),
    )
    return restored ?? this.#missing(key)
  }

  /** Removes a row for good, with what refers to it by cascade. */
  async remove(key: Key): Promise<void> {
    const where = this.#all([this.#keyIs(key), this.#ownRows()])
    const removed = await this.#run(() => this.parts.em.nativeDelete(this.#entity, where))
    if (removed === 0) this.#missing(key)
  }

  /** Rows of these ids, in any order, without embeddings. */
  protected async byIds(ids: readonly string[]): Promise<readonly RowOf<T>[]> {
    if (ids.length === 0) return []
    return this.#find([{ id: { $in: ids } }, this.#readable(false)], [], ids.length, false)
  }

  /** Select list of what `readRows` makes rows of: all columns but embeddings. */
  protected columnList(alias: string): string {
    return this.table.sqlColumns
      .filter(({ property }) => this.#fields.includes(property) && !this.#vectors.has(property))
      .map(({ name }) => `${alias}."${name}"`)
      .join(', ')
  }

  /** What a statement selects beside `columnList` under names that begin with `$`, and the row. */
  protected async readRows<Beside extends object>(
    statement: SqlStatement,
  ): Promise<readonly (readonly [Beside, RowOf<T>])[]> {
    const rows = await this.#run(() => this.parts.query<Beside>({ ...statement, types: this.parts.ormTypes }))
    return rows.map((stored) => {
      const [beside, own]: [Record<string, unknown>, Record<string, unknown>] = [{}, {}]
      for (const [name, value] of Object.entries(stored)) (name.startsWith('$') ? beside : own)[name] = value
      return [beside as Beside, this.#toRow(own)]
    })
  }

  async #find(
    conditions: readonly unknown[],
    order: readonly Order[],
    limit: number,
    embeddings = true,
  ): Promise<RowOf<T>[]> {
    const orderBy = order.map(([property, direction]) => ({ [property]: direction }))
    const fields = embeddings ? this.#fields : this.#fields.filter((property) => !this.#vectors.has(property))
    const options = { limit, orderBy, fields, disableIdentityMap: true }
    return this.#run(() => this.parts.em.find(this.#entity, this.#all(conditions), options as object)) as Promise<
      RowOf<T>[]
    >
  }

  async #insert(values: readonly NewRow<T>[]): Promise<readonly RowOf<T>[]> {
    const rows = values.map((value) => ({ ...this.#defaults(), ...value }))
    const builder = this.parts.em.createQueryBuilder(this.#entity)
    const stored = await this.#run(
      () =>
        builder
          .insert(rows as object[])
          .returning(this.#returned)
          .execute('all'),
      rows[0],
    )
    return (stored as object[]).map((row) => this.#toRow(row))
  }

  async #update(conditions: readonly unknown[], set: PatchOf<T>): Promise<readonly RowOf<T>[]> {
    if (Object.keys(set).length === 0) return this.#find(conditions, [], pageLimit)
    const builder = this.parts.em.createQueryBuilder(this.#entity)
    const changed = builder.update(set).where(this.#all(conditions)).returning(this.#returned)
    const stored: object[] = await this.#run(() => changed.execute('all'), set)
    return stored.map((row) => this.#toRow(row))
  }

  get #returned() {
    return [...this.#fields] as (keyof RowOf<T> & string)[]
  }

  #toRow(stored: object): RowOf<T> {
    const { em } = this.parts
    const values = em.getDriver().mapResult(stored, em.getMetadata(this.#entity)) ?? {}
    // Rows are values here: `em.map` would keep each, and a copy of what it was to compare with, which takes as long
    // again.
    const options = { merge: false, newEntity: false, convertCustomTypes: true, refresh: true }
    return em.getEntityFactory().create(this.#entity, values, options) as RowOf<T>
  }

  /** Columns that the actor fills, where the table has them. The trigger names the channel; the ORM wants a value. */
  #defaults(): Values {
    const { organizationId, userId, agentId, deviceId } = this.parts.actor
    const values: Values = {
      channel: '',
      organizationId,
      createdByUserId: userId,
      createdByAgentId: userId === undefined ? agentId : undefined,
      originDeviceId: deviceId,
    }
    return Object.fromEntries(
      this.table.sqlColumns.flatMap(({ property, generated }) =>
        values[property] === undefined || generated ? [] : [[property, values[property]]],
      ),
    )
  }

  #keyIs(key: Key): Values {
    return typeof key === 'object' ? key : { id: key }
  }

  #readable(withDeleted: boolean): Values {
    const { organizationId } = this.parts.actor
    const tenant =
      organizationId === undefined || !this.table.hasOrganization
        ? {}
        : this.#hasSystemRows()
          ? { $or: [{ organizationId }, { organizationId: null }] }
          : { organizationId }
    return { ...tenant, ...this.#live(withDeleted) }
  }

  #writable(): Values {
    return { ...this.#ownRows(), ...this.#live(false) }
  }

  #ownRows(): Values {
    const { organizationId } = this.parts.actor
    return organizationId === undefined || !this.table.hasOrganization ? {} : { organizationId }
  }

  #live(withDeleted: boolean): Values {
    return this.table.softDelete && !withDeleted ? { deletedAt: null } : {}
  }

  #hasSystemRows(): boolean {
    const column = this.table.sqlColumns.find(({ property }) => property === 'organizationId')
    return column?.nullable === true && !column.generated
  }

  #all(conditions: readonly unknown[]): FilterQuery<RowOf<T>> {
    return { $and: conditions.filter(Boolean) } as FilterQuery<RowOf<T>>
  }

  async #run<R>(work: () => Promise<R>, values?: Values): Promise<R> {
    try {
      return await work()
    } catch (error) {
      throw toWriteError(error, this.table, values)
    }
  }

  /** Why a row was not changed. */
  async #refuse(key: Key, version: number | undefined): Promise<never> {
    const row = (await this.get(key, { withDeleted: true })) as { version?: number; deletedAt?: Date } | undefined
    if (!row) this.#missing(key)
    const name = `${this.table.name} ${shownKey(key)}`
    if (row.deletedAt) throw new TideError('row_deleted', `${name} is deleted.`)
    if (version !== undefined && row.version !== version)
      throw new TideError('version_conflict', `${name} has version ${row.version}, not ${version}.`)
    throw new TideError('forbidden', `${name} is shipped with the system and is not changed by organizations.`)
  }

  #missing(key: Key): never {
    throw new TideError('not_found', `There is no row ${shownKey(key)} in ${this.table.name} for this actor.`)
  }
}

/** Throws `invalid_value` for what is no number of rows of a page. */
export function pageSize(limit: number): number {
  if (Number.isInteger(limit) && limit >= 1 && limit <= pageLimit) return limit
  throw new TideError('invalid_value', `A page of ${limit} rows was asked for; it may have 1 to ${pageLimit}.`)
}

function tableOf(catalog: Catalog, name: string): CatalogTable {
  const table = catalog.byName.get(name)
  if (!table) throw new TideError('unknown_table', `There is no table ${name}.`)
  return table
}

function shownKey(key: Key): string {
  return typeof key === 'object' ? JSON.stringify(key) : String(key)
}
