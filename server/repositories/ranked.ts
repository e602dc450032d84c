/** Rows by id in the order of `ranked`; those that are not there any more are left out. */
export function inOrder<R, O extends { readonly id: string }>(
  ranked: readonly O[],
  rows: readonly R[],
): readonly (readonly [O, R])[] {
  const byId = new Map(rows.map((row) => [String((row as { readonly id?: unknown }).id), row]))
  return ranked.flatMap((one) => {
    const row = byId.get(one.id)
    return row === undefined ? [] : [[one, row] as const]
  })
}
