import type { Catalog, CatalogTable, ForeignKey } from '../catalog/catalog.ts'
import type { SqlQuery } from './sql-query.ts'

/**
 * `deletedAt` is the id of a delete: all that one delete took carries it, and its restore brings back exactly those.
 */
export type Cascade = { readonly kind: 'delete' | 'restore'; readonly deletedAt: string }

/** After a row was soft-deleted or restored: the same for its children, and theirs. Returns how many. */
export async function cascade(
  query: SqlQuery,
  catalog: Catalog,
  table: string,
  id: string,
  { kind, deletedAt }: Cascade,
): Promise<number> {
  let count = 0
  const open: (readonly [string, readonly string[]])[] = [[table, [id]]]
  for (let next = open.pop(); next; next = open.pop()) {
    const [parent, ids] = next
    for (const children of childrenOf(catalog, parent)) {
      const changed = await query<{ id: string }>({
        text: cascadeSql(catalog, children, kind),
        values: [ids, deletedAt],
      })
      count += changed.length
      if (changed.length > 0) open.push([children.table.name, changed.map((row) => row.id)])
    }
  }
  return count
}

/** Soft-deletable rows that go with a row of another table. */
interface Children {
  readonly table: CatalogTable
  readonly key: ForeignKey
}

/** Foreign keys by which rows belong to those of `parent`. */
function childrenOf(catalog: Catalog, parent: string): readonly Children[] {
  return [...catalog.byName.values()].flatMap((table) =>
    !table.softDelete
      ? []
      : table.foreignKeys.filter((key) => key.table === parent && key.belongs).map((key) => ({ table, key })),
  )
}

/** $1 ids of parents, $2 the delete's time. Answers the ids of the children that changed. */
function cascadeSql(catalog: Catalog, { table, key }: Children, kind: Cascade['kind']): string {
  if (kind === 'delete') {
    return `update "${table.name}" set deleted_at = $2 where "${key.column}" = any($1::uuid[]) and deleted_at is null returning id`
  }
  // Another parent that was deleted apart keeps the child.
  const others = table.foreignKeys.filter(
    (other) => other.belongs && other.column !== key.column && catalog.byName.get(other.table)?.softDelete,
  )
  const kept = others.map(
    (other) =>
      `and not exists (select from "${other.table}" p where p.id = c."${other.column}" and p.deleted_at is not null and p.deleted_at <> $2)`,
  )
  return `update "${table.name}" c set deleted_at = null where c."${key.column}" = any($1::uuid[]) and c.deleted_at = $2 ${kept.join(' ')} returning c.id`
}
