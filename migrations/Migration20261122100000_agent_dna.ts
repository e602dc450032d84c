import { Migration } from '@mikro-orm/migrations'

/**
 * What follows from an agent's DNA: columns that say how it runs, and a capability for each of its skills. Whatever a document
 * says of them, it is their source; where it says nothing of `runtime` or of skills, they are as somebody wrote them.
 */
export class Migration20261122100000_agent_dna extends Migration {
  override up(): void {
    for (const statement of [...functions, ...triggers]) this.addSql(statement)
  }

  override down(): void {
    for (const name of ['a_dna_computed', 'c_skills_computed_insert', 'c_skills_computed_update'])
      this.addSql(`drop trigger ${name} on agents`)
    this.addSql('drop function sync.compute_agent_skills()')
    this.addSql('drop function sync.compute_agent_dna()')
  }
}

const functions = [
  /** Top-level keys are checked here too, for those who write by SQL; the rest of the document is the server's to check. */
  `
create function sync.compute_agent_dna() returns trigger language plpgsql as $$
declare
  stranger text := (
    select key from jsonb_object_keys(new.dna) as key
    where key not in ('schemaVersion', 'identity', 'personality', 'model', 'skills', 'memory', 'guardrails', 'runtime', 'extras')
    limit 1
  );
  runtime jsonb := new.dna->'runtime';
begin
  if stranger is not null then
    raise exception 'AgentDNA has no %.', stranger
      using errcode = 'check_violation', table = 'agents', column = 'dna', constraint = 'agents_dna_keys';
  end if;
  if runtime is not null then
    new.mobile_capable := coalesce((runtime->>'mobileCapable')::boolean, false);
    new.device_affinity := runtime->>'deviceAffinity';
    new.location_enabled := coalesce((runtime->>'locationEnabled')::boolean, false);
    new.battery_aware := coalesce((runtime->>'batteryAware')::boolean, false);
  end if;
  return new;
end $$`,
  /** Skills that are gone from the document are deleted; capabilities that never were in it stay. */
  `
create function sync.compute_agent_skills() returns trigger language plpgsql as $$
declare
  skills jsonb := coalesce(new.dna#>'{skills,skills}', '[]');
  former jsonb := case when tg_op = 'UPDATE' then coalesce(old.dna#>'{skills,skills}', '[]') else '[]' end;
begin
  update public.agent_capabilities c set deleted_at = date_trunc('milliseconds', now())
  from jsonb_array_elements(former) as gone
  where c.agent_id = new.id and c.deleted_at is null and c.kind = coalesce(gone->>'kind', 'skill') and c.name = gone->>'key'
    and not exists (
      select from jsonb_array_elements(skills) as kept
      where coalesce(kept->>'kind', 'skill') = c.kind and kept->>'key' = c.name
    );
  with wanted as (
    select distinct on (kind, name)
      coalesce(live.id, sync.uuid_from_key('agent_capabilities', array[new.id::text, kind, name])) as id, kind, name,
      coalesce((skill->>'proficiency')::numeric, 0.5) as proficiency, coalesce((skill->>'enabled')::boolean, true) as enabled,
      jsonb_strip_nulls(jsonb_build_object('label', skill->'name', 'path', skill->'path')) as constraints
    from jsonb_array_elements(skills) as skill
    cross join lateral (select coalesce(skill->>'kind', 'skill') as kind, skill->>'key' as name) named
    left join lateral (
      select c.id from public.agent_capabilities c
      where c.agent_id = new.id and c.kind = named.kind and c.name = named.name and c.deleted_at is null
    ) live on true
  )
  insert into public.agent_capabilities as c (id, organization_id, agent_id, kind, name, proficiency, is_enabled, constraints)
  select id, new.organization_id, new.id, kind, name, proficiency, enabled, constraints from wanted
  on conflict (id) do update set
    proficiency = excluded.proficiency, is_enabled = excluded.is_enabled, deleted_at = null,
    constraints = (c.constraints - '{label,path}'::text[]) || excluded.constraints
  where (c.proficiency, c.is_enabled, c.deleted_at) is distinct from (excluded.proficiency, excluded.is_enabled, null)
    or not c.constraints @> excluded.constraints;
  return null;
end $$`,
]

const triggers = [
  'create trigger a_dna_computed before insert or update on agents for each row execute function sync.compute_agent_dna()',
  `create trigger c_skills_computed_insert after insert on agents for each row
    when (new.dna ? 'skills') execute function sync.compute_agent_skills()`,
  `create trigger c_skills_computed_update after update on agents for each row
    when (old.dna->'skills' is distinct from new.dna->'skills') execute function sync.compute_agent_skills()`,
]
