/** One row of the replica. Table by SQL name. */
export interface RowRef {
  readonly table: string
  readonly rowId: string
}

/** A key for maps: ids never hold a slash. */
export function keyOf(ref: RowRef): string {
  return `${ref.table}/${ref.rowId}`
}
