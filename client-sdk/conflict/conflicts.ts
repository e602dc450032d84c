import { TideError } from '../../protocol/error.ts'
import type { Query } from '../../protocol/rows/filter.ts'
import type { Json, Patch, Row } from '../../protocol/rows/row.ts'
import { toConflict, type Conflict } from './conflict.ts'

/** How to settle: take the losing values, keep the server's, or these. */
export type ResolutionChoice = 'client' | 'server' | Readonly<Record<string, Json>>

/** A list that follows its query, with a callback or as an async iterable. */
export interface ConflictRows {
  find(query: Query): Promise<readonly Row[]>
  live(query: Query, notify: (rows: readonly Row[]) => void): () => void
  live(query: Query): AsyncIterable<readonly Row[]>
}

/** Conflicts that this replica can see: writes that met another write on the same column. */
export class Conflicts {
  readonly #rows: ConflictRows
  readonly #resolve: (id: string, set: Patch) => Promise<void>

  constructor(rows: ConflictRows, resolve: (id: string, set: Patch) => Promise<void>) {
    this.#rows = rows
    this.#resolve = resolve
  }

  async find(query: Query = {}): Promise<readonly Conflict[]> {
    return (await this.#rows.find(query)).map(toConflict)
  }

  /** Open conflicts, now and whenever they change. */
  live(notify: (open: readonly Conflict[]) => void): () => void
  live(): AsyncIterable<readonly Conflict[]>
  live(notify?: (open: readonly Conflict[]) => void): (() => void) | AsyncIterable<readonly Conflict[]> {
    const query: Query = { where: { status: 'open' }, orderBy: [{ createdAt: 'asc' }] }
    if (notify !== undefined) return this.#rows.live(query, (rows) => notify(rows.map(toConflict)))
    return mapRows(this.#rows.live(query))
  }

  /** Settles a conflict, offline too: the row changes at once here, everywhere when the server has it. */
  async resolve(id: string, choice: ResolutionChoice): Promise<void> {
    const [conflict] = await this.find({ where: { id } })
    if (conflict === undefined) throw new TideError('not_found', `There is no conflict ${id} on this replica.`)
    if (conflict.status !== 'open')
      throw new TideError('conflict_already_resolved', `Conflict ${id} is ${conflict.status}.`)
    await this.#resolve(id, typeof choice === 'string' ? { take: choice } : { take: 'manual', patch: choice })
  }
}

async function* mapRows(rows: AsyncIterable<readonly Row[]>): AsyncIterable<readonly Conflict[]> {
  for await (const found of rows) yield found.map(toConflict)
}
