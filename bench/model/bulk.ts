import type pg from 'pg'

type Client = Pick<pg.ClientBase, 'query'>

/**
 * Runs `fill` while these tables have no indexes but those of their keys, and makes the others again: sorting once what
 * is there takes a fraction of what putting in row by row does, and of a graph over vectors a tenth.
 */
export async function withIndexesAfterwards(
  on: Client,
  tables: readonly string[],
  fill: () => Promise<void>,
  progress: (line: string) => void,
): Promise<void> {
  const { rows } = await on.query<{ name: string; definition: string }>(indexesOf, [tables])
  for (const { name } of rows) await on.query(`drop index ${name}`)
  await fill()
  progress(`  making ${rows.length} indexes`)
  await on.query(`set maintenance_work_mem = '512MB'`)
  for (const { definition } of rows) await on.query(definition)
  await on.query('reset maintenance_work_mem')
}

/** ON ONLY would leave out the partitions. */
const indexesOf = `
select indexrelid::regclass::text as name, replace(pg_get_indexdef(indexrelid), ' ON ONLY ', ' ON ') as definition
from pg_index
where indrelid::regclass::text = any ($1) and not exists (select 1 from pg_constraint where conindid = indexrelid)`
