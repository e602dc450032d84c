import type pg from 'pg'

export type RowCounts = Readonly<Record<string, number>>

const tablesSql = `
select c.oid::regclass::text as name from pg_class c join pg_namespace n on n.oid = c.relnamespace
where n.nspname in ('public', 'sync') and c.relkind in ('r', 'p') and not c.relispartition order by 1`

/** Rows of every table of ours, partitions in their parent, in the snapshot of the connection. */
export async function countRows(client: pg.ClientBase): Promise<RowCounts> {
  const { rows } = await client.query<{ name: string }>(tablesSql)
  const counts: Record<string, number> = {}
  for (const { name } of rows) {
    // As Postgres quotes it.
    const counted = await client.query<{ n: string }>(`select count(*) as n from ${name}`)
    counts[name] = Number(counted.rows[0]?.n)
  }
  return counts
}

/** Where two counts differ, in words; empty: nowhere. */
export function compareCounts(wanted: RowCounts, found: RowCounts): readonly string[] {
  const names = [...new Set([...Object.keys(wanted), ...Object.keys(found)])].toSorted()
  return names.flatMap((name) => {
    const [one, other] = [wanted[name], found[name]]
    if (one === other) return []
    return [`${name}: ${other ?? 'no table'} instead of ${one ?? 'no table'}`]
  })
}
