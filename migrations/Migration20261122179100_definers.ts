import { Migration } from '@mikro-orm/migrations'
import { secure as formerSecure } from './Migration20261122080000_roles.ts'

/**
 * Functions with the rights of their owner are not everybody's. Postgres lets every role call a new function, and the setting
 * that names an organization is one that every role may set: a role that only reads could invite an owner into any organization.
 */
export class Migration20261122179100_definers extends Migration {
  override up(): void {
    this.addSql(wantedExecutions)
    this.addSql(secure)
    this.addSql('select sync.secure()')
  }

  override down(): void {
    this.addSql(replacing(formerSecure))
    this.addSql('drop function sync.wanted_executions()')
    this.addSql(openDefiners)
  }
}

const replacing = (statement: string): string => statement.replace('create function', 'create or replace function')

/** Of these the owner alone calls the others. Triggers need no grant: Postgres asks for it when a trigger is made, not when it fires. */
export const wantedExecutions = `
create function sync.wanted_executions() returns table (grantee text, function oid) language sql stable as $$
  select 'app_rw', p.oid from pg_proc p
  where p.pronamespace = 'sync'::regnamespace and p.prosecdef
    and p.proname in (
      'credential_kind', 'credential_of_usage', 'embeds', 'invite', 'known_mutations', 'recount_mutations', 'withdraw_invitation'
    )
$$`

const executions = `
  for change in
    with actual as (
      select p.oid as function, a.grantee from pg_proc p, aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) a
      where p.pronamespace = 'sync'::regnamespace and p.prosecdef and a.grantee <> p.proowner
    ), wanted as (
      select w.function, to_regrole(w.grantee)::oid as grantee from sync.wanted_executions() w where to_regrole(w.grantee) is not null
    )
    select format('revoke execute on function %s from %s', a.function::regprocedure, coalesce(quote_ident(r.rolname), 'public')) as statement
    from actual a left join pg_roles r on r.oid = a.grantee
    where (a.grantee = 0 or r.rolname in ('app_rw', 'app_feed', 'app_readonly'))
      and not exists (select from wanted w where (w.function, w.grantee) = (a.function, a.grantee))
    union all
    select format('grant execute on function %s to %s', w.function::regprocedure, w.grantee::regrole) from wanted w
    where not exists (select from actual a where (a.function, a.grantee) = (w.function, w.grantee))
  loop
    execute change.statement;
  end loop;
`

/** After the functions have become definers. */
export const secure = replacing(formerSecure).replace(
  `
  for change in
    select rolname from pg_roles
    where rolname in`,
  `${executions}
  for change in
    select rolname from pg_roles
    where rolname in`,
)

const openDefiners = `
do $$
declare
  found record;
begin
  for found in select p.oid::regprocedure as function from pg_proc p where p.pronamespace = 'sync'::regnamespace and p.prosecdef loop
    execute format('grant execute on function %s to public', found.function);
  end loop;
end $$`
