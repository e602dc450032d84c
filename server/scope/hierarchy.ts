import { isSubChannel } from '../../protocol/rows/channel.ts'
import type { Catalog, CatalogTable } from '../catalog/catalog.ts'
import { guestsOf, type Guests } from './guests.ts'

/** What hangs under what, and what has guests, as the tables declare it. */
export interface Hierarchy {
  readonly tables: ReadonlyMap<string, CatalogTable>
  /** Kind of name (`conversation`) → SQL name of the table whose rows have such names. */
  readonly parents: ReadonlyMap<string, string>
  /** Those of `parents` under whose names rows can hang. */
  readonly subChannels: ReadonlyMap<string, string>
  /** By SQL name, the tables whose rows have guests. */
  readonly guests: ReadonlyMap<string, Guests>
}

/** Reads the hierarchy off a catalog. */
export function hierarchyOf(catalog: Catalog): Hierarchy {
  const parents = parentsIn(catalog)
  const guests = guestsOf(catalog)
  const namesItself = (table: string): boolean => guests.get(table)?.rule.column === 'id'
  const subChannels = [...parents].filter(([kind, parent]) => isSubChannel(`${kind}/id`) && !namesItself(parent))
  return { tables: catalog.byName, parents, subChannels: new Map(subChannels), guests }
}

function parentsIn(catalog: Catalog): ReadonlyMap<string, string> {
  const parents = new Map<string, string>()
  for (const { name, scope, descriptor } of catalog.synced.values()) {
    if (scope?.kind === 'via') parents.set(scope.channel, scope.parent)
    // Their rows have guests though nothing hangs under them: `project/<id>` is followed by name, and a membership is
    // itself.
    const { guests } = descriptor
    if (guests?.ownChannel !== undefined) parents.set(guests.ownChannel, name)
    else if (guests?.table === name) parents.set(name, name)
  }
  return parents
}
