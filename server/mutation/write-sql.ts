import type { Catalog, SyncedTable } from '../catalog/catalog.ts'
import { recordColumns, toRecordValue } from '../db/row-codec.ts'
import { binarySelectList } from '../db/row-packer.ts'
import { TideError } from '../../protocol/error.ts'
import type { Json, Patch } from '../../protocol/rows/row.ts'
import type { Write } from './mutation-store.ts'

/** Writes of one table, kind and set of columns: one statement. `places` are their indices among all writes. */
export interface WriteStatement {
  readonly table: SyncedTable
  readonly ids: readonly string[]
  readonly places: readonly number[]
  readonly text: string
  /** The rows as JSON, the statement's only parameter. */
  readonly rows: string
}

/** Groups writes into statements, in the order in which each group first appears. A row is written at most once. */
export function toStatements(catalog: Catalog, writes: readonly Write[]): readonly WriteStatement[] {
  const groups = Map.groupBy(writes.entries(), ([, write]) => shapeOf(write))
  return [...groups.values()].map((group) => {
    const [first] = group
    if (!first) throw new RangeError('A group has a first element.')
    const table = tableOf(catalog, first[1].table)
    return {
      table,
      ids: group.map(([, write]) => idOf(write)),
      places: group.map(([place]) => place),
      text:
        first[1].kind === 'insert'
          ? insertSql(table, Object.keys(first[1].values).toSorted())
          : updateSql(table, first[1]),
      rows: JSON.stringify(group.map(([, write]) => toRecord(table, write))),
    }
  })
}

export function tableOf(catalog: Catalog, name: string): SyncedTable {
  const table = catalog.synced.get(name)
  if (!table) throw new TideError('unknown_table', `There is no synced table ${name}.`)
  return table
}

function shapeOf(write: Write): string {
  const names = (patch: Readonly<Record<string, unknown>>): string => Object.keys(patch).toSorted().join(',')
  return write.kind === 'insert'
    ? `${write.table} ${names(write.values)}`
    : `${write.table} = ${names(write.set)} + ${names(write.inc)}`
}

function idOf(write: Write): string {
  return write.kind === 'insert' ? String(write.values['id']) : write.id
}

function insertSql(table: SyncedTable, properties: readonly string[]): string {
  const names = properties.map((property) => quoted(table, property))
  return `
    insert into "${table.name}" (${names.join(', ')})
    select ${names.map((name) => `r.${name}`).join(', ')} from json_to_recordset($1::json) as r(${recordColumns(table, properties)})
    returning ${binarySelectList(table, { embeddings: false })}`
}

function updateSql(
  table: SyncedTable,
  { set, inc }: { readonly set: Patch; readonly inc: Readonly<Record<string, number>> },
): string {
  const changed = Object.keys(set).toSorted()
  const counted = Object.keys(inc).toSorted()
  const assignments = [
    ...changed.map((property) => `${quoted(table, property)} = r.${quoted(table, property)}`),
    ...counted.map(
      (property) => `${quoted(table, property)} = t.${quoted(table, property)} + r.${quoted(table, property)}`,
    ),
  ]
  return `
    update "${table.name}" as t set ${assignments.join(', ')}
    from json_to_recordset($1::json) as r(${recordColumns(table, ['id', ...changed, ...counted])})
    where t.id = r.id
    returning ${binarySelectList(table, { embeddings: false }, 't')}`
}

function toRecord(table: SyncedTable, write: Write): Readonly<Record<string, Json>> {
  const values: Patch = write.kind === 'insert' ? write.values : { id: write.id, ...write.set, ...write.inc }
  return Object.fromEntries(
    Object.entries(values).map(([property, value]) => {
      const column = columnOf(table, property)
      return [column.name, toRecordValue(column, value)]
    }),
  )
}

function quoted(table: SyncedTable, property: string): string {
  return `"${columnOf(table, property).name}"`
}

function columnOf(table: SyncedTable, property: string) {
  const column = table.descriptor.columns[property]
  if (!column) throw new TideError('unknown_column', `Table ${table.name} has no column ${property}.`)
  return column
}
