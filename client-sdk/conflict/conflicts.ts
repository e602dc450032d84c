import { TideError } from '../../protocol/error.ts'
import type { Query } from '../../protocol/rows/filter.ts'
import type { Patch, Row } from '../../protocol/rows/row.ts'
import { patchToWire } from '../outbox/wire-value.ts'
import { toConflict, type Conflict } from './conflict.ts'

/** How to settle: take the losing values, keep the server's, or these. */
export type ResolutionChoice<Values = Patch> = 'client' | 'server' | Values

/** A list that follows its query, with a callback or as an async iterable. */
export interface ConflictRows {
  find(query: Query): Promise<readonly Row[]>
  live(query: Query, notify: (rows: readonly Row[]) => void): () => void
  live(query: Query): AsyncIterable<readonly Row[]>
}

/** What conflicts need of the client. `W`: a write of this device. */
export interface ConflictsSource<W> {
  readonly rows: ConflictRows
  /** Values for a table by SQL name, canonical. Throws `TideError` for what cannot stand in it. */
  check(table: string, values: Patch): Patch
  resolve(id: string, set: Patch): Promise<W>
}

/** Conflicts that this replica can see: writes that met another write on the same column. */
export class Conflicts<W> {
  readonly #source: ConflictsSource<W>
  readonly #known = new WeakMap<Row, Conflict>()

  constructor(source: ConflictsSource<W>) {
    this.#source = source
  }

  async find(query: Query = {}): Promise<readonly Conflict[]> {
    return (await this.#source.rows.find(query)).map(toConflict)
  }

  /** Open conflicts, now and whenever they change. */
  live(notify: (open: readonly Conflict[]) => void): () => void
  live(): AsyncIterable<readonly Conflict[]>
  live(notify?: (open: readonly Conflict[]) => void): (() => void) | AsyncIterable<readonly Conflict[]> {
    const query: Query = { where: { status: 'open' }, orderBy: [{ createdAt: 'asc' }] }
    if (notify !== undefined)
      return this.#source.rows.live(query, (rows) => notify(rows.map((row) => this.#shown(row))))
    return mapRows(this.#source.rows.live(query))
  }

  /** A row that did not change is the same conflict as before. */
  #shown(row: Row): Conflict {
    const conflict = this.#known.get(row) ?? toConflict(row)
    this.#known.set(row, conflict)
    return conflict
  }

  /** Settles a conflict, offline too: the row changes at once here, everywhere when the server has it. */
  async resolve(id: string, choice: ResolutionChoice): Promise<W> {
    const [conflict] = await this.find({ where: { id } })
    if (conflict === undefined) throw new TideError('not_found', `There is no conflict ${id} on this replica.`)
    if (conflict.status !== 'open')
      throw new TideError('conflict_already_resolved', `Conflict ${id} is ${conflict.status}.`)
    if (typeof choice === 'string') return this.#source.resolve(id, { take: choice })
    const patch = patchToWire(this.#source.check(conflict.table, choice))
    return this.#source.resolve(id, { take: 'manual', patch })
  }
}

async function* mapRows(rows: AsyncIterable<readonly Row[]>): AsyncIterable<readonly Conflict[]> {
  for await (const found of rows) yield found.map(toConflict)
}
