import type pg from 'pg'

/** Everything in the database that a migration can make, as text. */
export async function readCatalog(db: Pick<pg.Pool, 'query'>): Promise<readonly string[]> {
  const { rows } = await db.query<{ line: string }>(`
    with ours as (select oid, nspname from pg_namespace where nspname in ('public', 'sync'))
    select format('column %s.%s %s %s %s %s', c.relname, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull, a.attgenerated, pg_get_expr(d.adbin, d.adrelid)) as line
    from pg_class c join ours on ours.oid = c.relnamespace
    join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
    left join pg_attrdef d on d.adrelid = c.oid and d.adnum = a.attnum
    where c.relkind in ('r', 'p', 'S')
    union all select format('relation %s %s %s %s %s', relname, relkind, relreplident, reloptions, relrowsecurity) from pg_class join ours on ours.oid = relnamespace
    union all select format('constraint %s %s %s', conrelid::regclass, conname, pg_get_constraintdef(c.oid)) from pg_constraint c join ours on ours.oid = c.connamespace
    union all select format('view %s %s', relname, pg_get_viewdef(c.oid)) from pg_class c join ours on ours.oid = relnamespace where relkind in ('v', 'm')
    union all select format('policy %s %s %s %s %s', polrelid::regclass, polname, polcmd, pg_get_expr(polqual, polrelid), pg_get_expr(polwithcheck, polrelid)) from pg_policy
    union all select format('grant %s %s %s', c.relname, g.grantee::regrole, g.privilege_type) from pg_class c join ours on ours.oid = c.relnamespace, aclexplode(c.relacl) g
      where g.grantee <> c.relowner
    union all select format('index %s', indexdef) from pg_indexes where schemaname in ('public', 'sync')
    union all select format('trigger %s %s', tgenabled, pg_get_triggerdef(oid)) from pg_trigger where not tgisinternal
    union all select format('function %s', pg_get_functiondef(p.oid)) from pg_proc p join ours on ours.oid = p.pronamespace
      where p.prokind = 'f' and not exists (select from pg_depend where objid = p.oid and deptype = 'e')
    order by 1`)
  return rows.map((row) => row.line).filter((line) => !/mikro_orm_migrations/.test(line))
}
