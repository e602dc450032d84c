import type { SqlQuery } from '../scope/sql-query.ts'

/**
 * The catalog as the snapshot sees it names the file of each table; `pg_relation_filenode` names the one that the table
 * has now.
 */
const rewrittenSql = `
select exists (
  select from pg_class
  where relnamespace = current_schema()::regnamespace and relkind = 'r'
    and pg_relation_filenode(oid) is distinct from relfilenode
) as rewritten`

/**
 * Whether a table was truncated after the snapshot was taken. TRUNCATE is not bound to snapshots: to this one as well
 * the table is empty then, though no commit that it sees has emptied it. To be asked when everything has been read: a
 * table that was read cannot be truncated before the snapshot ends. Also true where a table was only written anew
 * (VACUUM FULL, some ALTER TABLE).
 */
export async function wasRewritten(snapshot: SqlQuery): Promise<boolean> {
  const [row] = await snapshot<{ rewritten: boolean }>({ name: 'rewritten', text: rewrittenSql, values: [] })
  return row?.rewritten === true
}
