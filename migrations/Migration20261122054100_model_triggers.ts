import { Migration } from '@mikro-orm/migrations'

/** Triggers of the tables of the migration before: channels, versions, capture, and columns that follow from others. */
export class Migration20261122054100_model_triggers extends Migration {
  override up(): void {
    for (const statement of tables) this.addSql(statement)
    for (const table of replicated)
      this.addSql(`alter table ${table} replica identity using index ${table}_id_channel_key`)
    for (const statement of [...functions, ...triggers, ...grants]) this.addSql(statement)
  }

  override down(): void {
    for (const table of replicated) this.addSql(`alter table ${table} replica identity default`)
    // Functions that `install_*` made for one table go with their trigger; those of all tables stay.
    this.addSql(`
do $$
declare
  found record;
  own text;
begin
  for found in
    select t.tgname, c.relname, t.tgrelid::regclass as relation, p.oid::regprocedure as function, p.proname
    from pg_trigger t join pg_class c on c.oid = t.tgrelid join pg_proc p on p.oid = t.tgfoid
    where not t.tgisinternal and t.tgparentid = 0 and c.relnamespace = 'public'::regnamespace and c.relname = any ('{${touched.join(',')}}')
  loop
    execute format('drop trigger %I on %s', found.tgname, found.relation);
    if found.proname ~ ('^(capture|channel|touch|stamp|revision)_' || found.relname || '(_|$)') then
      execute format('drop function %s', found.function);
    end if;
  end loop;
  foreach own in array '{compute_knowledge,compute_active_prompt,compute_pipeline_revision,refuse_pipeline_steps_cycle,compute_document,compute_document_version}'::text[] loop
    execute format('drop function sync.%I()', own);
  end loop;
end $$`)
  }
}

/** The version that a new content of a document is. */
export const computeDocumentVersion = `
create function sync.compute_document_version() returns trigger language plpgsql as $$
begin
  insert into public.document_versions (
    id, organization_id, document_id, parent_version_id, revision, title, content, origin_device_id, created_by_user_id, created_by_agent_id
  )
  values (
    new.head_version_id, new.organization_id, new.id, old.head_version_id, new.revision, new.title, new.content,
    nullif(current_setting('app.device_id', true), '')::uuid, nullif(current_setting('app.user_id', true), '')::uuid,
    nullif(current_setting('app.agent_id', true), '')::uuid
  );
  return null;
end $$`

const functions = [
  /** As with memories: an embedding of older content serves until the new one is there. */
  `
create function sync.compute_knowledge() returns trigger language plpgsql as $$
begin
  if tg_op = 'INSERT' then
    new.embedding_status := case when new.embedding is null then new.embedding_status else 'ready' end;
  elsif new.embedding is distinct from old.embedding and new.embedding is not null then
    new.embedding_status := 'ready';
  elsif (new.title, new.content) is distinct from (old.title, old.content) and new.embedding_status = old.embedding_status and old.embedding_status <> 'skipped' then
    new.embedding_status := 'pending';
  end if;
  if new.embedding_status = 'ready' and (tg_op = 'INSERT' or new.embedding is distinct from old.embedding) then
    new.embedded_at := now();
  end if;
  if tg_op = 'UPDATE' and new.use_count > old.use_count then
    new.last_used_at := now();
  end if;
  return new;
end $$`,
  /** One prompt of a name is active: the one that was activated last. */
  `
create function sync.compute_active_prompt() returns trigger language plpgsql as $$
begin
  update public.prompts set is_active = false
  where is_active and deleted_at is null and id <> new.id and agent_type = new.agent_type and name = new.name
    and organization_id is not distinct from new.organization_id;
  return new;
end $$`,
  /** A pipeline is what its steps are, so a change of one is a revision. Steps that go with their pipeline raise nothing. */
  `
create function sync.compute_pipeline_revision() returns trigger language plpgsql as $$
begin
  update public.pipelines set definition_revision = definition_revision + 1 where id = coalesce(new.pipeline_id, old.pipeline_id);
  return null;
end $$`,
  /** The steps that a step waits for are of its pipeline, and none waits for itself. One writer at a time per pipeline. */
  `
create function sync.refuse_pipeline_steps_cycle() returns trigger language plpgsql as $$
declare
  stranger text := (
    select depends from unnest(new.depends_on) as depends
    where not exists (select from public.pipeline_steps s where s.id::text = depends and s.pipeline_id = new.pipeline_id)
    limit 1
  );
begin
  perform pg_advisory_xact_lock(hashtextextended(new.pipeline_id::text, 7165746964));
  if stranger is not null and stranger <> new.id::text then
    raise exception 'Step % waits for %, which is no step of its pipeline.', new.name, stranger
      using errcode = 'check_violation', table = 'pipeline_steps', column = 'depends_on', constraint = 'pipeline_steps_depends_on_known';
  end if;
  if exists (
    with recursive reached(id) as (
      select unnest(new.depends_on)
      union
      select unnest(s.depends_on) from public.pipeline_steps s join reached on s.id::text = reached.id where s.deleted_at is null
    )
    select from reached where id = new.id::text
  ) then
    raise exception 'Step % would wait for itself.', new.name
      using errcode = 'check_violation', table = 'pipeline_steps', column = 'depends_on', constraint = 'pipeline_steps_cycle';
  end if;
  return new;
end $$`,
  /** Each accepted content of a document is a version; its id is known before it is there, so that the head needs no second write. */
  `
create function sync.compute_document() returns trigger language plpgsql as $$
begin
  if tg_op = 'INSERT' and new.content <> '' or tg_op = 'UPDATE' and new.content <> old.content then
    new.revision := new.revision + 1;
    new.head_version_id := sync.uuid_v7();
  end if;
  return new;
end $$`,
  computeDocumentVersion,
]

const triggers = [
  'create trigger a_computed before insert or update on knowledge_entries for each row execute function sync.compute_knowledge()',
  `create trigger a_computed before insert or update on prompts for each row
    when (new.is_active and new.deleted_at is null) execute function sync.compute_active_prompt()`,
  'create trigger c_computed after insert or update or delete on pipeline_steps for each row execute function sync.compute_pipeline_revision()',
  `create trigger a_computed before insert or update on pipeline_steps for each row
    when (new.deleted_at is null and new.depends_on <> '{}') execute function sync.refuse_pipeline_steps_cycle()`,
  'create trigger a_computed before insert or update on documents for each row execute function sync.compute_document()',
  // Foreign keys are checked by triggers named RI_*, in the order of names: by then the version is there.
  `create trigger "A_version_inserted" after insert on documents for each row
    when (new.revision > 0) execute function sync.compute_document_version()`,
  `create trigger "A_version_updated" after update on documents for each row
    when (new.revision > old.revision) execute function sync.compute_document_version()`,
]

/** Who is a grantee of an entry finds it: see the migration of grants. */
const grants = [
  ['insert', 'when (new.deleted_at is null)'],
  ['update', 'when (old.deleted_at is distinct from new.deleted_at)'],
  ['delete', 'when (old.deleted_at is null)'],
].flatMap(([event, when]) => [
  `create trigger log_grant_${event} after ${event} on knowledge_grants for each row ${when} execute function sync.log_grant('knowledge_entry')`,
  `alter table knowledge_grants enable always trigger log_grant_${event}`,
])

const tables = [
  `select sync.install_channel('agent_permissions', $$coalesce('organization/' || new.organization_id, 'global')$$)`,
  `select sync.install_touch('agent_permissions', '{agent_type,agent_id,tool_name}', '{}')`,
  `select sync.install_capture('agent_permissions')`,
  `select sync.install_touch('backup_runs', '{}', '{}')`,
  `select sync.install_touch('billing_records', '{}', '{}')`,
  `select sync.install_channel('complexity_metrics', $$'project/' || new.project_id$$)`,
  `select sync.install_touch('complexity_metrics', '{}', '{}')`,
  `select sync.install_capture('complexity_metrics')`,
  `select sync.install_channel('cost_estimates', $$'project/' || new.project_id$$)`,
  `select sync.install_touch('cost_estimates', '{project_id}', '{}')`,
  `select sync.install_capture('cost_estimates')`,
  `select sync.install_stamp('cost_estimates', 'closed_at', $$ {}.status = 'closed'$$, false)`,
  `select sync.install_channel('cost_models', $$'organization/' || new.organization_id$$)`,
  `select sync.install_touch('cost_models', '{}', '{}')`,
  `select sync.install_capture('cost_models')`,
  `select sync.install_channel('document_links', $$'document/' || new.document_id$$)`,
  `select sync.install_touch('document_links', '{document_id,target_type,target_document_id,target_id,target_url,link_kind}', '{}')`,
  `select sync.install_capture('document_links')`,
  `select sync.install_channel('document_templates', $$coalesce('organization/' || new.organization_id, 'global')$$)`,
  `select sync.install_touch('document_templates', '{key}', '{}')`,
  `select sync.install_capture('document_templates')`,
  `select sync.install_revision('document_templates', 'revision', 'body')`,
  `select sync.install_channel('document_versions', $$'document/' || new.document_id$$)`,
  `select sync.install_touch('document_versions', '{document_id,content,parent_version_id}', '{}')`,
  `select sync.install_capture('document_versions')`,
  `select sync.install_channel('documents', $$new.scope || '/' || case new.scope when 'organization' then new.organization_id when 'project' then new.project_id when 'team' then new.team_id when 'user' then new.user_id when 'agent' then new.agent_id end$$)`,
  `select sync.install_touch('documents', '{}', '{}')`,
  `select sync.install_capture('documents')`,
  `select sync.install_stamp('documents', 'published_at', $$ {}.status = 'published'$$, true)`,
  `select sync.install_channel('enum_values', $$'global'$$)`,
  `select sync.install_touch('enum_values', '{}', '{}')`,
  `select sync.install_capture('enum_values')`,
  `select sync.install_touch('error_log_summaries', '{}', '{}')`,
  `select sync.install_touch('event_replays', '{}', '{}')`,
  `select sync.install_channel('event_subscriptions', $$'organization/' || new.organization_id$$)`,
  `select sync.install_touch('event_subscriptions', '{}', '{cursor_seq,last_delivered_at}')`,
  `select sync.install_capture('event_subscriptions')`,
  `select sync.install_channel('external_links', $$'organization/' || new.organization_id$$)`,
  `select sync.install_touch('external_links', '{integration_id,external_type,external_id}', '{}')`,
  `select sync.install_capture('external_links')`,
  `select sync.install_channel('feedback_loops', $$coalesce('project/' || new.project_id, 'organization/' || new.organization_id)$$)`,
  `select sync.install_touch('feedback_loops', '{}', '{}')`,
  `select sync.install_capture('feedback_loops')`,
  `select sync.install_channel('integrations', $$coalesce('project/' || new.project_id, 'organization/' || new.organization_id)$$)`,
  `select sync.install_touch('integrations', '{}', '{}')`,
  `select sync.install_capture('integrations')`,
  `select sync.install_channel('knowledge_entries', $$new.scope || '/' || case new.scope when 'organization' then new.organization_id when 'project' then new.project_id when 'team' then new.team_id when 'user' then new.user_id when 'agent' then new.agent_id end$$)`,
  `select sync.install_touch('knowledge_entries', '{}', '{mobile_synced}')`,
  `select sync.install_capture('knowledge_entries')`,
  `select sync.install_revision('knowledge_entries', 'revision', 'content')`,
  `select sync.install_channel('knowledge_grants', $$'knowledge_entry/' || new.knowledge_entry_id$$)`,
  `select sync.install_touch('knowledge_grants', '{knowledge_entry_id,user_id,agent_id,team_id}', '{}')`,
  `select sync.install_capture('knowledge_grants')`,
  `select sync.install_touch('maintenance_runs', '{}', '{}')`,
  `select sync.install_channel('model_prices', $$coalesce('organization/' || new.organization_id, 'global')$$)`,
  `select sync.install_touch('model_prices', '{}', '{}')`,
  `select sync.install_capture('model_prices')`,
  `select sync.install_channel('notifications', $$'user/' || new.user_id$$)`,
  `select sync.install_touch('notifications', '{user_id,kind,title,body}', '{}')`,
  `select sync.install_capture('notifications')`,
  `select sync.install_channel('patterns', $$coalesce('project/' || new.project_id, 'organization/' || new.organization_id)$$)`,
  `select sync.install_touch('patterns', '{}', '{}')`,
  `select sync.install_capture('patterns')`,
  `select sync.install_channel('pipeline_artifacts', $$'project/' || new.project_id$$)`,
  `select sync.install_touch('pipeline_artifacts', '{}', '{}')`,
  `select sync.install_capture('pipeline_artifacts')`,
  `select sync.install_channel('pipeline_executions', $$'project/' || new.project_id$$)`,
  `select sync.install_touch('pipeline_executions', '{}', '{}')`,
  `select sync.install_capture('pipeline_executions')`,
  `select sync.install_channel('pipeline_step_executions', $$'project/' || new.project_id$$)`,
  `select sync.install_touch('pipeline_step_executions', '{}', '{}')`,
  `select sync.install_capture('pipeline_step_executions')`,
  `select sync.install_channel('pipeline_steps', $$'pipeline/' || new.pipeline_id$$)`,
  `select sync.install_touch('pipeline_steps', '{pipeline_id}', '{}')`,
  `select sync.install_capture('pipeline_steps')`,
  `select sync.install_channel('pipelines', $$'project/' || new.project_id$$)`,
  `select sync.install_touch('pipelines', '{project_id}', '{}')`,
  `select sync.install_capture('pipelines')`,
  `select sync.install_channel('prompt_test_results', $$'prompt/' || new.prompt_id$$)`,
  `select sync.install_touch('prompt_test_results', '{prompt_id}', '{}')`,
  `select sync.install_capture('prompt_test_results')`,
  `select sync.install_channel('prompts', $$coalesce('organization/' || new.organization_id, 'global')$$)`,
  `select sync.install_touch('prompts', '{agent_type,name,semver,prompt_text}', '{}')`,
  `select sync.install_capture('prompts')`,
  `select sync.install_stamp('prompts', 'activated_at', $$ {}.is_active$$, true)`,
  `select sync.install_channel('quality_gate_results', $$'project/' || new.project_id$$)`,
  `select sync.install_touch('quality_gate_results', '{}', '{}')`,
  `select sync.install_capture('quality_gate_results')`,
  `select sync.install_channel('quality_gates', $$'project/' || new.project_id$$)`,
  `select sync.install_touch('quality_gates', '{project_id}', '{}')`,
  `select sync.install_capture('quality_gates')`,
  `select sync.install_touch('query_statistics', '{}', '{}')`,
  `select sync.install_touch('retention_policies', '{}', '{}')`,
  `select sync.install_channel('success_criteria', $$'project/' || new.project_id$$)`,
  `select sync.install_touch('success_criteria', '{}', '{}')`,
  `select sync.install_capture('success_criteria')`,
  `select sync.install_touch('system_metric_rollups', '{}', '{}')`,
  `select sync.install_touch('system_settings', '{}', '{}')`,
  `select sync.install_touch('token_usage_daily', '{}', '{}')`,
  `select sync.install_channel('webhooks', $$'integration/' || new.integration_id$$)`,
  `select sync.install_touch('webhooks', '{integration_id}', '{}')`,
  `select sync.install_capture('webhooks')`,
]

const touched = [
  'agent_permissions',
  'backup_runs',
  'billing_records',
  'complexity_metrics',
  'cost_estimates',
  'cost_models',
  'document_links',
  'document_templates',
  'document_versions',
  'documents',
  'enum_values',
  'error_log_summaries',
  'event_replays',
  'event_subscriptions',
  'external_links',
  'feedback_loops',
  'integrations',
  'knowledge_entries',
  'knowledge_grants',
  'maintenance_runs',
  'model_prices',
  'notifications',
  'patterns',
  'pipeline_artifacts',
  'pipeline_executions',
  'pipeline_step_executions',
  'pipeline_steps',
  'pipelines',
  'prompt_test_results',
  'prompts',
  'quality_gate_results',
  'quality_gates',
  'query_statistics',
  'retention_policies',
  'success_criteria',
  'system_metric_rollups',
  'system_settings',
  'token_usage_daily',
  'webhooks',
]

/** Deletes and moves must carry the old channel through logical replication. */
const replicated = [
  'agent_permissions',
  'complexity_metrics',
  'cost_estimates',
  'cost_models',
  'document_links',
  'document_templates',
  'document_versions',
  'documents',
  'enum_values',
  'event_subscriptions',
  'external_links',
  'feedback_loops',
  'integrations',
  'knowledge_entries',
  'knowledge_grants',
  'model_prices',
  'notifications',
  'patterns',
  'pipeline_artifacts',
  'pipeline_executions',
  'pipeline_step_executions',
  'pipeline_steps',
  'pipelines',
  'prompt_test_results',
  'prompts',
  'quality_gate_results',
  'quality_gates',
  'success_criteria',
  'webhooks',
]
