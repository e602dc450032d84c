import { Migration } from '@mikro-orm/migrations'

/** What comes from and goes to other platforms: once, in order, and tried again. */
export class Migration20261122100300_integrations extends Migration {
  override up(): void {
    for (const statement of [...tables, ...functions, ...triggers]) this.addSql(statement)
  }

  override down(): void {
    this.addSql('drop trigger a_endpoint_computed on webhooks')
    this.addSql('drop trigger e_issues_computed on tasks')
    for (const name of ['sync.credential_kind(uuid)', 'sync.compute_linked_issues()', 'sync.compute_endpoint_key()'])
      this.addSql(`drop function ${name}`)
    for (const name of ['webhook_deliveries', 'integration_queue', 'event_dispatch'])
      this.addSql(`drop table sync.${name}`)
  }
}

const tables = [
  /** Deliveries that were taken: a log that is partitioned cannot have such a key. */
  `
create table sync.webhook_deliveries (
  webhook_id uuid not null references public.webhooks on delete cascade,
  external_id text not null,
  received_at timestamptz not null default now(),
  primary key (webhook_id, external_id)
)`,
  'create index webhook_deliveries_received_at_idx on sync.webhook_deliveries (received_at)',
  /** Rows of integration_events that are not done yet; the oldest of an integration and direction goes first, alone. */
  `
create table sync.integration_queue (
  id bigint generated always as identity primary key,
  event_id uuid not null,
  event_at timestamptz not null,
  integration_id uuid not null references public.integrations on delete cascade,
  direction text not null,
  attempts integer not null default 0,
  due_at timestamptz not null default now()
)`,
  'create index integration_queue_order_idx on sync.integration_queue (integration_id, direction, id)',
  /** Which server delivers for a subscription, until when; and when it is tried again. */
  `
create table sync.event_dispatch (
  subscription_id uuid primary key references public.event_subscriptions on delete cascade,
  due_at timestamptz not null
)`,
]

const functions = [
  /** Of a living credential of the organization. A definer's, for whoever writes may not read the table. */
  `
create function sync.credential_kind(credential uuid) returns text language sql stable security definer set search_path = pg_catalog, pg_temp as $$
  select kind from public.credentials
  where id = credential and organization_id = sync.current_org() and user_id is null and revoked_at is null
$$`,
  `
create function sync.compute_endpoint_key() returns trigger language plpgsql as $$
begin
  new.endpoint_key := encode(gen_random_bytes(24), 'hex');
  return new;
end $$`,
  /** What changes on a task that is linked to an issue goes to that; what came from there does not go back. */
  `
create function sync.compute_linked_issues() returns trigger language plpgsql as $$
declare
  link record;
  event uuid;
  at timestamptz := date_trunc('milliseconds', clock_timestamp());
begin
  for link in
    select l.id, l.external_id, i.id as integration, i.provider, i.project_id
    from public.external_links l join public.integrations i on i.id = l.integration_id
    where l.local_type = 'task' and l.local_id = new.id and l.external_type = 'issue' and l.deleted_at is null and l.sync_direction in ('push', 'both')
      and i.status = 'active' and i.deleted_at is null and i.credential_id is not null and i.provider in ('github', 'linear')
      and i.id::text is distinct from nullif(current_setting('app.integration_id', true), '')
  loop
    event := sync.uuid_v7();
    insert into public.integration_events (id, occurred_at, organization_id, integration_id, project_id, direction, provider, event_type, external_id, payload)
    values (event, at, new.organization_id, link.integration, link.project_id, 'outbound', link.provider, 'issue.update', link.external_id,
      jsonb_build_object('linkId', link.id, 'taskId', new.id));
    insert into sync.integration_queue (event_id, event_at, integration_id, direction) values (event, at, link.integration, 'outbound');
  end loop;
  return null;
end $$`,
]

const triggers = [
  // A client cannot choose its address; rows that are made by SQL must bring one.
  `create trigger a_endpoint_computed before insert on webhooks for each row
    when (new.direction = 'inbound' and new.endpoint_key is null and new.origin_device_id is not null) execute function sync.compute_endpoint_key()`,
  `create trigger e_issues_computed after update of title, description, status on tasks for each row
    when ((old.title, old.description, old.status) is distinct from (new.title, new.description, new.status))
    execute function sync.compute_linked_issues()`,
]
