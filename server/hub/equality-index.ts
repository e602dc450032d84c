import { valueOf, type ReadRow } from '../db/row-bytes.ts'
import type { Change } from './feed.ts'
import type { Pin, Spec } from './spec.ts'

/**
 * The specs of one channel, by what their filters ask for: a new row is looked up by its values, so that it costs what
 * the specs cost that it may match, however many others there are. Only for rows that nobody can hold yet: of any other
 * row, those whose filter it does not match may have to delete it.
 */
export class EqualityIndex<E extends { readonly spec: Spec }> {
  /** Without any equality. */
  readonly #loose = new Set<E>()
  /** Those with one on another table, by table. */
  readonly #unpinned = new Map<string, Set<E>>()
  /** By table, column and value. */
  readonly #pinned = new Map<string, Map<string, Map<string, Set<E>>>>()

  add(entry: E): void {
    const { pins } = entry.spec
    if (pins.size === 0) this.#loose.add(entry)
    else for (const table of entry.spec.tables) this.#shelf(table, pins.get(table)).add(entry)
  }

  delete(entry: E): void {
    const { pins } = entry.spec
    if (pins.size === 0) this.#loose.delete(entry)
    else for (const table of entry.spec.tables) this.#take(table, pins.get(table), entry)
  }

  /** Those that a new row may match, and few others. */
  *candidates({ table, row }: Change): Iterable<E> {
    yield* this.#loose
    yield* this.#unpinned.get(table) ?? []
    for (const [column, values] of this.#pinned.get(table) ?? []) yield* values.get(textOf(row, column)) ?? []
  }

  #shelf(table: string, pin: Pin | undefined): Set<E> {
    if (!pin) return getOrMake(this.#unpinned, table, () => new Set<E>())
    const columns = getOrMake(this.#pinned, table, () => new Map<string, Map<string, Set<E>>>())
    const values = getOrMake(columns, pin.column, () => new Map<string, Set<E>>())
    return getOrMake(values, pin.value, () => new Set<E>())
  }

  /** Shelves of values go when they are empty: there may be one for every user there ever was. */
  #take(table: string, pin: Pin | undefined, entry: E): void {
    const shelf = this.#shelf(table, pin)
    shelf.delete(entry)
    if (pin && shelf.size === 0) this.#pinned.get(table)?.get(pin.column)?.delete(pin.value)
  }
}

function textOf(row: ReadRow | null, column: string): string {
  const value = row && valueOf(row, column)
  return typeof value === 'string' ? value : ''
}

function getOrMake<V>(map: Map<string, V>, key: string, make: () => V): V {
  const value = map.get(key) ?? make()
  map.set(key, value)
  return value
}
