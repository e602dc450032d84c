import pg from 'pg'

/** Who must wait to write to the table meanwhile, waits no longer than that. Milliseconds. */
const lockMs = 200
/** Lock not available, deadlock. */
const busy = new Set(['55P03', '40P01'])

/**
 * Published tables whose triggers are not as capture from the WAL set them: those that write keys are awake, or the one
 * that says who writes does not fire always. `ALTER TABLE … ENABLE TRIGGER USER` does both.
 */
const unsetSql = `
select c.relname::text as name
from pg_publication p join pg_publication_rel r on r.prpubid = p.oid join pg_class c on c.oid = r.prrelid
where p.pubname = $1 and c.relnamespace = 'public'::regnamespace and (
  exists (select from pg_trigger t where t.tgrelid = c.oid and t.tgname ~ '^capture_' and t.tgenabled <> 'D')
  or not exists (select from pg_trigger t where t.tgrelid = c.oid and t.tgname = 'tell_origin' and t.tgenabled = 'A')
)
order by 1`

const setSql = `select set_config('lock_timeout', '${lockMs}', true), sync.capture_by_wal($1, $2)`

/**
 * Sets the triggers of published tables again as capture from the WAL set them, where somebody has changed that. Keys
 * that are written beside the WAL are logged once, but writers pay for both; and a table that does not say who writes
 * has entries without a writer. A table that is busy is left for the next time. Answers the tables that were set.
 */
export async function restTriggers(pool: Pick<pg.Pool, 'query'>, publication: string): Promise<readonly string[]> {
  const { rows } = await pool.query<{ name: string }>({ name: 'awake', text: unsetSql, values: [publication] })
  const set: string[] = []
  for (const { name } of rows) if (await isSet(pool, publication, name)) set.push(name)
  return set
}

async function isSet(pool: Pick<pg.Pool, 'query'>, publication: string, table: string): Promise<boolean> {
  try {
    await pool.query(setSql, [publication, table])
    return true
  } catch (error) {
    if (error instanceof pg.DatabaseError && busy.has(error.code ?? '')) return false
    throw error
  }
}
