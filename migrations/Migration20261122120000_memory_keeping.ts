import { Migration } from '@mikro-orm/migrations'

/**
 * How memories and knowledge are kept: embeddings by one rule for both, content that is remembered twice reinforces what is
 * there, strength decays with time, and each content of a knowledge entry stays as a frozen copy.
 */
export class Migration20261122120000_memory_keeping extends Migration {
  override up(): void {
    for (const { table, function: name } of former) {
      this.addSql(`drop trigger a_computed on ${table}`)
      this.addSql(`drop function ${name}()`)
    }
    for (const statement of [...functions, ...triggers]) this.addSql(statement)
  }

  override down(): void {
    for (const trigger of ['a_computed', 'a_accessed', 'a_duplicate', 'a_reinforced'])
      this.addSql(`drop trigger ${trigger} on memories`)
    for (const trigger of ['a_computed', 'a_used', 'a_frozen', 'c_frozen_follow'])
      this.addSql(`drop trigger ${trigger} on knowledge_entries`)
    for (const name of [
      'compute_embedding',
      'stamp_now',
      'compute_duplicate',
      'freeze_knowledge',
      'move_frozen_knowledge',
    ])
      this.addSql(`drop function sync.${name}()`)
    this.addSql('drop function sync.decay_memories(integer, uuid)')
    for (const { table, function: name, used } of former) {
      this.addSql(formerFunction(name, used))
      this.addSql(
        `create trigger a_computed before insert or update on ${table} for each row execute function ${name}()`,
      )
    }
  }
}

/** An embedding of older content serves until the new one is there. */
const embeddingRules = `
  if tg_op = 'INSERT' then
    new.embedding_status := case when new.embedding is null then new.embedding_status else 'ready' end;
  elsif new.embedding is distinct from old.embedding and new.embedding is not null then
    new.embedding_status := 'ready';
  elsif (new.title, new.content) is distinct from (old.title, old.content) and new.embedding_status = old.embedding_status and old.embedding_status <> 'skipped' then
    new.embedding_status := 'pending';
  end if;
  if new.embedding_status = 'ready' and (tg_op = 'INSERT' or new.embedding is distinct from old.embedding) then
    new.embedded_at := now();
  end if;`

/** What each of the two had of its own. */
const former = [
  {
    table: 'memories',
    function: 'sync.compute_memory',
    used: { access_count: 'last_accessed_at', reinforcement_count: 'last_reinforced_at' },
  },
  { table: 'knowledge_entries', function: 'sync.compute_knowledge', used: { use_count: 'last_used_at' } },
]

function formerFunction(name: string, used: Readonly<Record<string, string>>): string {
  const stamps = Object.entries(used).map(
    ([counter, stamp]) => `
  if tg_op = 'UPDATE' and new.${counter} > old.${counter} then
    new.${stamp} := now();
  end if;`,
  )
  return `
create function ${name}() returns trigger language plpgsql as $$
begin${embeddingRules}${stamps.join('')}
  return new;
end $$`
}

/** All that is written of an entry; generated columns and those of triggers are left out. */
const copied = [
  ...['organization_id', 'origin_device_id', 'created_by_user_id', 'created_by_agent_id', 'deleted_at'],
  ...['scope', 'project_id', 'team_id', 'user_id', 'agent_id'],
  ...[
    'entry_type',
    'title',
    'content',
    'summary',
    'tags',
    'categories',
    'source',
    'source_ref',
    'task_id',
    'document_id',
    'chunk_index',
  ],
  ...[
    'revision',
    'previous_version_id',
    'confidence_score',
    'quality_score',
    'embedding',
    'embedding_model',
    'embedding_status',
    'embedded_at',
  ],
  ...['expires_at', 'metadata'],
]

/**
 * What is remembered already, word for word, in the same place and by the same owner, is reinforced. The new row stays, for
 * its id is known to whoever made it and to what refers to it (its tags), but it is superseded from the beginning.
 */
export const computeDuplicate = `
create function sync.compute_duplicate() returns trigger language plpgsql as $$
begin
  update public.memories m set reinforcement_count = m.reinforcement_count + 1
  where m.id = (
    select id from public.memories
    where organization_id = new.organization_id and content_hash = digest(new.content, 'sha256') and channel = new.channel
      and user_id is not distinct from new.user_id and agent_id is not distinct from new.agent_id
      and status = 'active' and deleted_at is null and (expires_at is null or expires_at > now()) and id <> new.id
    order by created_at, id limit 1
  )
  returning m.id into new.superseded_by_id;
  if new.superseded_by_id is not null then
    new.status := 'superseded';
  end if;
  return new;
end $$`

const functions = [
  `
create function sync.compute_embedding() returns trigger language plpgsql as $$
begin${embeddingRules}
  return new;
end $$`,
  /** Sets the column that is its argument to now. */
  `
create function sync.stamp_now() returns trigger language plpgsql as $$
begin
  return jsonb_populate_record(new, jsonb_build_object(tg_argv[0], now()));
end $$`,
  computeDuplicate,
  /**
   * Strength is importance x confidence, fading with the days since it was last of use. At most so many memories become colder,
   * are archived, or are told to have expired, in the order of their ids; answers how many and the last of them, after which the
   * next call goes on: a memory that has just become cold is not archived the same night.
   */
  `
create function sync.decay_memories(at_most integer, after_id uuid) returns table (changed integer, last_id uuid) language sql as $$
  with strength as (
    select id, tier, expires_at is not null and expires_at <= now() as expired, tier = 'core' or is_pinned as kept, importance * confidence
      * exp(-decay_rate * extract(epoch from now() - greatest(last_accessed_at, last_reinforced_at, created_at))::double precision / 86400) as value
    from public.memories
    where status = 'active' and deleted_at is null
  ), moved as (
    select id,
      case
        when expired then 'expired'
        when not kept and tier = 'cold' and value < 0.05 then 'archived'
        else 'active'
      end as status,
      case
        when not kept and tier in ('hot', 'warm') and value < 0.15 then 'cold'
        when not kept and tier = 'hot' and value < 0.4 then 'warm'
        else tier
      end as tier
    from strength
  ), chosen as (
    select moved.* from moved join public.memories m using (id)
    where (moved.status, moved.tier) is distinct from (m.status, m.tier) and (after_id is null or id > after_id)
    order by id limit at_most
  ), done as (
    update public.memories m set status = chosen.status, tier = chosen.tier from chosen where m.id = chosen.id returning m.id
  )
  select count(*)::integer, (array_agg(id order by id desc))[1] from done
$$`,
  `
create function sync.freeze_knowledge() returns trigger language plpgsql as $$
declare
  frozen uuid := sync.uuid_v7();
begin
  insert into public.knowledge_entries (id, is_current, ${copied.join(', ')})
  values (frozen, false, ${copied.map((column) => `old.${column}`).join(', ')});
  new.previous_version_id := frozen;
  return new;
end $$`,
  /** A former content is seen by those who see the entry, and goes where it goes. */
  `
create function sync.move_frozen_knowledge() returns trigger language plpgsql as $$
begin
  update public.knowledge_entries
  set scope = new.scope, project_id = new.project_id, team_id = new.team_id, user_id = new.user_id, agent_id = new.agent_id, deleted_at = new.deleted_at
  where id = new.previous_version_id and not is_current;
  return null;
end $$`,
]

const placed = ['scope', 'project_id', 'team_id', 'user_id', 'agent_id', 'deleted_at']
const places = (row: string): string => `(${placed.map((column) => `${row}.${column}`).join(', ')})`

const triggers = [
  'create trigger a_computed before insert or update on memories for each row execute function sync.compute_embedding()',
  'create trigger a_computed before insert or update on knowledge_entries for each row execute function sync.compute_embedding()',
  `create trigger a_accessed before update on memories for each row
    when (new.access_count > old.access_count) execute function sync.stamp_now('last_accessed_at')`,
  `create trigger a_reinforced before update on memories for each row
    when (new.reinforcement_count > old.reinforcement_count) execute function sync.stamp_now('last_reinforced_at')`,
  `create trigger a_used before update on knowledge_entries for each row
    when (new.use_count > old.use_count) execute function sync.stamp_now('last_used_at')`,
  `create trigger a_duplicate before insert on memories for each row
    when (new.status = 'active' and new.supersedes_id is null and new.deleted_at is null) execute function sync.compute_duplicate()`,
  `create trigger a_frozen before update on knowledge_entries for each row
    when (new.is_current and new.content is distinct from old.content) execute function sync.freeze_knowledge()`,
  `create trigger c_frozen_follow after update on knowledge_entries for each row
    when (new.previous_version_id is not null and ${places('new')} is distinct from ${places('old')}) execute function sync.move_frozen_knowledge()`,
]
