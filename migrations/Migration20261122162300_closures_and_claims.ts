import { Migration } from '@mikro-orm/migrations'

/**
 * A project that is cancelled or archived leaves a record and stops its open tasks; an agent that may not work claims nothing;
 * and where an agent is, is kept only where it allows that.
 */
export class Migration20261122162300_closures_and_claims extends Migration {
  override up(): void {
    this.addSql(closeProject)
    for (const [event, changed] of [
      ['insert', ''],
      ['update', 'and new.status is distinct from old.status'],
    ] as const)
      this.addSql(
        `create trigger d_closed_${event} after ${event} on projects for each row
          when (new.status in ('cancelled', 'archived') ${changed}) execute function sync.close_project()`,
      )
    this.addSql(claimRefusal)
    this.addSql(inClaims(chosen, `${guard}\n  ${chosen}`))
    this.addSql(keepLocation)
    this.addSql(
      `create trigger a_location before insert or update of device_info on agent_sessions for each row
        when (new.device_info ?| array[${locations}]) execute function sync.drop_location()`,
    )
  }

  override down(): void {
    this.addSql('drop trigger a_location on agent_sessions')
    this.addSql('drop function sync.drop_location()')
    this.addSql(inClaims(`${guard}\n  ${chosen}`, chosen))
    this.addSql('drop function sync.claim_refusal(uuid, uuid)')
    for (const event of ['insert', 'update']) this.addSql(`drop trigger d_closed_${event} on projects`)
    this.addSql('drop function sync.close_project()')
  }
}

/** What was finished stays as it is. A project that was never completed was so when it was archived. */
const closeProject = `
create function sync.close_project() returns trigger language plpgsql as $$
declare
  by_user uuid := nullif(current_setting('app.user_id', true), '')::uuid;
  by_agent uuid := nullif(current_setting('app.agent_id', true), '')::uuid;
  ended timestamptz := case when tg_op = 'UPDATE' then old.completed_at end;
begin
  insert into public.project_closures (
    organization_id, project_id, kind, project_name, description, language, stage, completed_at, owner_user_id,
    closed_by_user_id, closed_by_label, closed_at, origin_device_id
  )
  values (
    new.organization_id, new.id, new.status, new.name, new.description, new.language, new.current_stage,
    case new.status when 'archived' then coalesce(ended, new.completed_at, now()) else ended end, new.owner_user_id, by_user,
    coalesce(
      (select coalesce(m.display_name, m.email) from public.organization_members m
       where m.user_id = by_user and m.organization_id = new.organization_id and m.deleted_at is null limit 1),
      (select a.name from public.agents a where a.id = by_agent)
    ),
    date_trunc('milliseconds', now()), nullif(current_setting('app.device_id', true), '')::uuid
  );
  update public.tasks set status = 'cancelled'
  where project_id = new.id and status in ('pending', 'assigned', 'in_progress', 'blocked', 'in_review') and deleted_at is null;
  return null;
end $$`

/**
 * Why an agent may begin no work now; null: it may. With a limit of its own (\`runtime.concurrency\`) its claims go one after the
 * other. A battery that nobody measured is taken for full.
 */
const claimRefusal = `
create function sync.claim_refusal(agent uuid, instance uuid) returns text language plpgsql as $$
declare
  one record;
  least_percent numeric;
  percent numeric;
  most integer;
  held integer;
begin
  select name, lifecycle, status, battery_aware, coalesce(dna -> 'runtime', '{}') as runtime, dna ? 'runtime' as has_runtime
  into one from public.agents where id = agent;
  if one is null then return null; end if;
  if one.lifecycle <> 'active' then return format('The agent %s is %s, so it begins no work.', one.name, one.lifecycle); end if;
  if one.status = 'maintenance' then return format('The agent %s is under maintenance.', one.name); end if;
  if one.battery_aware then
    least_percent := case when jsonb_typeof(one.runtime -> 'minBatteryPercent') = 'number' then (one.runtime ->> 'minBatteryPercent')::numeric else 15 end;
    select coalesce(i.battery_percent, d.battery_percent) into percent
    from (select nullif(current_setting('app.device_id', true), '')::uuid as device) here
    left join public.agent_instances i on i.id = instance
    left join public.devices d on d.id = coalesce(i.device_id, here.device) and d.agent_id = agent;
    if percent < least_percent then
      return format('The battery of the agent %s is at %s %%, and it begins no work below %s %%.', one.name, percent, least_percent);
    end if;
  end if;
  if one.has_runtime then
    most := case when jsonb_typeof(one.runtime -> 'concurrency') = 'number' then (one.runtime ->> 'concurrency')::numeric::integer else 1 end;
    perform from public.agents where id = agent for no key update;
    select count(*) into held from public.tasks
    where assigned_agent_id = agent and status = 'in_progress' and lease_expires_at is not null and deleted_at is null;
    if held >= most then
      return format('The agent %s holds %s tasks, and works on %s at a time.', one.name, held, most);
    end if;
  end if;
  return null;
end $$`

const chosen = 'select r.id into chosen from'
const guard = 'if sync.claim_refusal(agent, instance) is not null then return; end if;'

const inClaims = (before: string, after: string): string => `
do $$ begin
  execute replace(pg_get_functiondef('sync.claim_next_task(uuid, uuid, interval, uuid[])'::regprocedure), $t$${before}$t$, $t$${after}$t$);
end $$`

const locations = ['location', 'coordinates', 'geolocation', 'latitude', 'longitude', 'altitude']
  .map((key) => `'${key}'`)
  .join(', ')

const keepLocation = `
create function sync.drop_location() returns trigger language plpgsql as $$
begin
  if not exists (select from public.agents where id = new.agent_id and location_enabled) then
    new.device_info := new.device_info - array[${locations}];
  end if;
  return new;
end $$`
