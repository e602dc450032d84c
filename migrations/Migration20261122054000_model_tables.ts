import { Migration } from '@mikro-orm/migrations';

export class Migration20261122054000_model_tables extends Migration {

  override name = 'Migration20261122054000_model_tables';

  override up(): void | Promise<void> {
    this.addSql('create sequence sync.event_seq as bigint');
    this.addSql(`create function sync.next_event_seq() returns bigint language sql volatile as $$ select nextval('sync.event_seq') $$`);
    this.addSql(`create table "backup_runs" ("id" uuid not null default sync.uuid_v7(), "created_at" timestamptz(3) not null default now(), "updated_at" timestamptz(3) not null default now(), "kind" text not null, "status" text not null default 'running', "started_at" timestamptz(3) not null default now(), "finished_at" timestamptz(3) null, "location" text null, "size_bytes" bigint null, "sha256" bytea null, "is_encrypted" boolean not null default true, "key_id" text null, "expires_at" timestamptz(3) null, "deleted_at" timestamptz(3) null, "row_counts" jsonb not null default '{}', "tested_backup_id" uuid null, "error_message" text null, primary key ("id"));`);
    this.addSql(`create index "backup_runs_kind_started_at_idx" on "backup_runs" ("kind", "started_at");`);
    this.addSql(`create index "backup_runs_expires_at_idx" on "backup_runs" ("expires_at");`);
    this.addSql(`create index "backup_runs_tested_backup_id_idx" on "backup_runs" ("tested_backup_id");`);

    this.addSql(`create table "maintenance_runs" ("id" uuid not null default sync.uuid_v7(), "created_at" timestamptz(3) not null default now(), "updated_at" timestamptz(3) not null default now(), "kind" text not null, "status" text not null default 'running', "started_at" timestamptz(3) not null default now(), "finished_at" timestamptz(3) null, "rows_affected" bigint null, "dry_run" boolean not null default false, "triggered_by" text not null default 'schedule', "details" jsonb not null default '{}', "error_message" text null, primary key ("id"));`);
    this.addSql(`create index "maintenance_runs_kind_started_at_idx" on "maintenance_runs" ("kind", "started_at");`);
    this.addSql(`create index "maintenance_runs_status_idx" on "maintenance_runs" ("status");`);

    this.addSql(`create table "event_metrics" ("id" uuid not null default sync.uuid_v7(), "occurred_at" timestamptz(3) not null default now(), "created_at" timestamptz(3) not null default now(), "organization_id" uuid null, "origin_device_id" uuid null, "window_seconds" int not null default 60, "source" text not null, "type" text not null, "published_count" bigint not null default '0', "delivered_count" bigint not null default '0', "failed_count" bigint not null default '0', "retried_count" bigint not null default '0', "backlog" bigint not null default '0', "latency_avg_ms" double precision null, "latency_p95_ms" double precision null, "latency_max_ms" double precision null, primary key ("id", "occurred_at"));`);
    this.addSql(`create index "event_metrics_source_type_occurred_at_idx" on "event_metrics" ("source", "type", "occurred_at");`);
    this.addSql(`create index "event_metrics_organization_id_occurred_at_idx" on "event_metrics" ("organization_id", "occurred_at");`);

    this.addSql(`create table "error_log_summaries" ("id" uuid not null default sync.uuid_v7(), "created_at" timestamptz(3) not null default now(), "updated_at" timestamptz(3) not null default now(), "organization_id" uuid null, "summary_date" date not null, "category" text not null, "code" int not null, "count" bigint not null default '0', "unrecoverable_count" bigint not null default '0', primary key ("id"));`);
    this.addSql(`create unique index "error_log_summaries_organization_id_summary_date_category_c_key" on "error_log_summaries" ("organization_id", "summary_date", "category", "code") nulls not distinct;`);
    this.addSql(`create index "error_log_summaries_summary_date_idx" on "error_log_summaries" ("summary_date");`);

    this.addSql(`create table "audit_logs" ("id" uuid not null default sync.uuid_v7(), "occurred_at" timestamptz(3) not null default now(), "created_at" timestamptz(3) not null default now(), "organization_id" uuid null, "origin_device_id" uuid null, "actor_user_id" uuid null, "actor_agent_id" uuid null, "device_id" uuid null, "action" text not null, "table_name" text null, "row_id" uuid null, "row_version" int null, "changed_columns" text[] not null default '{}', "before" jsonb null, "after" jsonb null, "outcome" text not null default 'success', "ip_address" inet null, "request_id" text null, "mutation_id" uuid null, "details" jsonb not null default '{}', primary key ("id", "occurred_at"));`);
    this.addSql(`create index "audit_logs_organization_id_occurred_at_idx" on "audit_logs" ("organization_id", "occurred_at");`);
    this.addSql(`create index "audit_logs_table_name_row_id_occurred_at_idx" on "audit_logs" ("table_name", "row_id", "occurred_at");`);
    this.addSql(`create index "audit_logs_actor_user_id_occurred_at_idx" on "audit_logs" ("actor_user_id", "occurred_at");`);
    this.addSql(`create index "audit_logs_actor_agent_id_occurred_at_idx" on "audit_logs" ("actor_agent_id", "occurred_at");`);
    this.addSql(`create index "audit_logs_action_occurred_at_idx" on "audit_logs" ("action", "occurred_at");`);

    this.addSql(`create table "query_statistics" ("id" uuid not null default sync.uuid_v7(), "created_at" timestamptz(3) not null default now(), "updated_at" timestamptz(3) not null default now(), "bucket_start" timestamptz(3) not null, "fingerprint" text not null, "sample_sql" text null, "calls" bigint not null default '0', "error_calls" bigint not null default '0', "slow_calls" bigint not null default '0', "total_ms" double precision not null default 0, "max_ms" double precision not null default 0, "rows_returned" bigint not null default '0', "histogram" jsonb not null default '{}', "plan" jsonb null, primary key ("id"));`);
    this.addSql(`create index "query_statistics_fingerprint_bucket_start_idx" on "query_statistics" ("fingerprint", "bucket_start");`);
    this.addSql(`alter table "query_statistics" add constraint "query_statistics_bucket_start_fingerprint_key" unique ("bucket_start", "fingerprint");`);

    this.addSql(`create table "retention_policies" ("id" uuid not null default sync.uuid_v7(), "created_at" timestamptz(3) not null default now(), "updated_at" timestamptz(3) not null default now(), "organization_id" uuid null, "name" text not null, "table_name" text not null, "time_column" text not null, "condition" text not null default 'none', "keep_for" interval null, "action" text not null, "summary_table" text null, "archive_target" text null, "batch_size" int not null default 5000, "is_enabled" boolean not null default true, "legal_hold" boolean not null default false, "source_note" text null, "last_run_at" timestamptz(3) null, "last_affected" bigint null, primary key ("id"));`);
    this.addSql(`create unique index "retention_policies_organization_id_name_key" on "retention_policies" ("organization_id", "name") nulls not distinct;`);
    this.addSql(`create index "retention_policies_table_name_idx" on "retention_policies" ("table_name");`);

    this.addSql(`create table "system_metric_rollups" ("id" uuid not null default sync.uuid_v7(), "created_at" timestamptz(3) not null default now(), "updated_at" timestamptz(3) not null default now(), "organization_id" uuid null, "metric_name" text not null, "bucket" text not null, "bucket_start" timestamptz(3) not null, "labels" jsonb not null default '{}', "sample_count" bigint not null default '0', "sum" double precision not null default 0, "min" double precision null, "max" double precision null, "p95" double precision null, "avg" double precision generated always as (case when sample_count > 0 then sum / sample_count::double precision else null::double precision end) stored null, primary key ("id"));`);
    this.addSql(`create unique index "system_metric_rollups_organization_id_metric_name_bucket_bu_key" on "system_metric_rollups" ("organization_id", "metric_name", "bucket", "bucket_start", "labels") nulls not distinct;`);

    this.addSql(`create table "system_settings" ("id" uuid not null default sync.uuid_v7(), "created_at" timestamptz(3) not null default now(), "updated_at" timestamptz(3) not null default now(), "key" text not null, "value" jsonb not null, "description" text null, "updated_by_user_id" uuid null, primary key ("id"));`);
    this.addSql(`create index "system_settings_updated_by_user_id_idx" on "system_settings" ("updated_by_user_id");`);
    this.addSql(`alter table "system_settings" add constraint "system_settings_key_key" unique ("key");`);

    this.addSql(`create table "prompts" ("id" uuid not null default sync.uuid_v7(), "organization_id" uuid null, "channel" text not null, "version" int not null default 1, "origin_device_id" uuid null, "created_at" timestamptz(3) not null default now(), "updated_at" timestamptz(3) not null default now(), "deleted_at" timestamptz(3) null, "created_by_user_id" uuid null, "created_by_agent_id" uuid null, "agent_type" text not null, "name" text not null default 'default', "semver" text not null, "prompt_text" text not null, "checksum" bytea generated always as (digest(prompt_text, 'sha256')) stored null, "variables" jsonb not null default '[]', "status" text not null default 'draft', "is_active" boolean not null default false, "activated_at" timestamptz(3) null, "parent_prompt_id" uuid null, "created_by_label" text null, "notes" text null, primary key ("id"));`);
    this.addSql(`create index "prompts_organization_id_updated_at_idx" on "prompts" ("organization_id", "updated_at");`);
    this.addSql(`create unique index "prompts_organization_id_agent_type_name_semver_key" on "prompts" ("organization_id", "agent_type", "name", "semver") nulls not distinct where deleted_at is null;`);
    this.addSql(`create unique index "prompts_organization_id_agent_type_name_key" on "prompts" ("organization_id", "agent_type", "name") nulls not distinct where is_active and deleted_at is null;`);
    this.addSql(`create index "prompts_agent_type_is_active_idx" on "prompts" ("agent_type", "is_active");`);
    this.addSql(`create index "prompts_parent_prompt_id_idx" on "prompts" ("parent_prompt_id");`);
    this.addSql(`alter table "prompts" add constraint "prompts_id_channel_key" unique ("id", "channel");`);

    this.addSql(`create table "prompt_test_results" ("id" uuid not null default sync.uuid_v7(), "organization_id" uuid null, "channel" text not null, "version" int not null default 1, "origin_device_id" uuid null, "created_at" timestamptz(3) not null default now(), "updated_at" timestamptz(3) not null default now(), "prompt_id" uuid not null, "test_name" text not null, "passed" boolean not null, "score" numeric(5,2) null, "output" text null, "expected" text null, "input" jsonb null, "evaluator" text null, "model" text null, "duration_ms" int null, "cost_usd" numeric(18,8) null, "tested_at" timestamptz(3) not null default now(), primary key ("id"));`);
    this.addSql(`create index "prompt_test_results_organization_id_updated_at_idx" on "prompt_test_results" ("organization_id", "updated_at");`);
    this.addSql(`create index "prompt_test_results_prompt_id_tested_at_idx" on "prompt_test_results" ("prompt_id", "tested_at");`);
    this.addSql(`create index "prompt_test_results_tested_at_idx" on "prompt_test_results" ("tested_at");`);
    this.addSql(`alter table "prompt_test_results" add constraint "prompt_test_results_id_channel_key" unique ("id", "channel");`);

    this.addSql(`create table "tool_audit_logs" ("id" uuid not null default sync.uuid_v7(), "occurred_at" timestamptz(3) not null default now(), "created_at" timestamptz(3) not null default now(), "organization_id" uuid not null, "origin_device_id" uuid null, "project_id" uuid null, "agent_id" uuid null, "agent_label" text not null default '', "tool_name" text not null, "operation" text not null, "allowed" boolean not null, "denial_reason" text null, "parameters" jsonb null, "result" jsonb null, "task_id" uuid null, "duration_ms" int null, "permission_id" uuid null, primary key ("id", "occurred_at"));`);
    this.addSql(`create index "tool_audit_logs_occurred_at_idx" on "tool_audit_logs" ("occurred_at");`);
    this.addSql(`create index "tool_audit_logs_project_id_occurred_at_idx" on "tool_audit_logs" ("project_id", "occurred_at");`);
    this.addSql(`create index "tool_audit_logs_agent_id_occurred_at_idx" on "tool_audit_logs" ("agent_id", "occurred_at");`);
    this.addSql(`create index "tool_audit_logs_project_id_agent_id_idx" on "tool_audit_logs" ("project_id", "agent_id");`);
    this.addSql(`create index "tool_audit_logs_tool_name_occurred_at_idx" on "tool_audit_logs" ("tool_name", "occurred_at");`);
    this.addSql(`create index "tool_audit_logs_organization_id_occurred_at_idx" on "tool_audit_logs" ("organization_id", "occurred_at");`);

    this.addSql(`create table "token_usage_daily" ("id" uuid not null default sync.uuid_v7(), "created_at" timestamptz(3) not null default now(), "updated_at" timestamptz(3) not null default now(), "organization_id" uuid not null, "usage_date" date not null, "project_id" uuid null, "agent_id" uuid null, "provider" text not null, "model" text not null, "request_count" bigint not null default '0', "input_tokens" bigint not null default '0', "output_tokens" bigint not null default '0', "cost_usd" numeric(20,8) not null default 0, primary key ("id"));`);
    this.addSql(`create unique index "token_usage_daily_organization_id_usage_date_project_id_age_key" on "token_usage_daily" ("organization_id", "usage_date", "project_id", "agent_id", "provider", "model") nulls not distinct;`);
    this.addSql(`create index "token_usage_daily_project_id_usage_date_idx" on "token_usage_daily" ("project_id", "usage_date");`);
    this.addSql(`create index "token_usage_daily_agent_id_idx" on "token_usage_daily" ("agent_id");`);

    this.addSql(`create table "system_metrics" ("id" uuid not null default sync.uuid_v7(), "occurred_at" timestamptz(3) not null default now(), "created_at" timestamptz(3) not null default now(), "organization_id" uuid null, "origin_device_id" uuid null, "metric_name" text not null, "metric_type" text not null default 'gauge', "value" double precision not null, "unit" text null, "labels" jsonb not null default '{}', "source" text not null default 'server', "project_id" uuid null, "agent_id" uuid null, primary key ("id", "occurred_at"));`);
    this.addSql(`create index "system_metrics_metric_name_occurred_at_idx" on "system_metrics" ("metric_name", "occurred_at");`);
    this.addSql(`create index "system_metrics_organization_id_metric_name_occurred_at_idx" on "system_metrics" ("organization_id", "metric_name", "occurred_at");`);
    this.addSql(`create index "system_metrics_labels_gin" on "system_metrics" using gin ("labels" jsonb_path_ops);`);
    this.addSql(`create index "system_metrics_project_id_idx" on "system_metrics" ("project_id");`);
    this.addSql(`create index "system_metrics_agent_id_idx" on "system_metrics" ("agent_id");`);

    this.addSql(`create table "events" ("id" uuid not null default sync.uuid_v7(), "occurred_at" timestamptz(3) not null default now(), "created_at" timestamptz(3) not null default now(), "organization_id" uuid null, "origin_device_id" uuid null, "seq" bigint not null default sync.next_event_seq(), "source" text not null, "type" text not null, "project_id" uuid null, "agent_id" uuid null, "user_id" uuid null, "device_id" uuid null, "subject_type" text null, "subject_id" uuid null, "event_data" jsonb not null default '{}', "priority" text not null default 'medium', "schema_version" int not null default 1, "correlation_id" uuid null, "causation_id" uuid null, primary key ("id", "occurred_at"));`);
    this.addSql(`create index "events_source_type_occurred_at_idx" on "events" ("source", "type", "occurred_at");`);
    this.addSql(`create index "events_seq_idx" on "events" ("seq");`);
    this.addSql(`create index "events_organization_id_seq_idx" on "events" ("organization_id", "seq");`);
    this.addSql(`create index "events_project_id_occurred_at_idx" on "events" ("project_id", "occurred_at");`);
    this.addSql(`create index "events_agent_id_occurred_at_idx" on "events" ("agent_id", "occurred_at");`);
    this.addSql(`create index "events_correlation_id_idx" on "events" ("correlation_id");`);
    this.addSql(`create index "events_subject_type_subject_id_idx" on "events" ("subject_type", "subject_id");`);
    this.addSql(`create index "events_event_data_gin" on "events" using gin ("event_data" jsonb_path_ops);`);
    this.addSql(`create index "events_user_id_idx" on "events" ("user_id");`);

    this.addSql(`create table "error_logs" ("id" uuid not null default sync.uuid_v7(), "occurred_at" timestamptz(3) not null default now(), "created_at" timestamptz(3) not null default now(), "organization_id" uuid null, "origin_device_id" uuid null, "code" int not null, "category" text not null, "severity" text not null default 'error', "message" text not null, "technical_detail" text null, "context" jsonb not null default '{}', "fingerprint" text null, "project_id" uuid null, "agent_id" uuid null, "agent_label" text not null default '', "task_id" uuid null, "user_id" uuid null, "is_recoverable" boolean not null default true, "recovered_at" timestamptz(3) null, primary key ("id", "occurred_at"));`);
    this.addSql(`create index "error_logs_code_occurred_at_idx" on "error_logs" ("code", "occurred_at");`);
    this.addSql(`create index "error_logs_category_occurred_at_idx" on "error_logs" ("category", "occurred_at");`);
    this.addSql(`create index "error_logs_project_id_occurred_at_idx" on "error_logs" ("project_id", "occurred_at");`);
    this.addSql(`create index "error_logs_occurred_at_idx" on "error_logs" ("occurred_at");`);
    this.addSql(`create index "error_logs_agent_id_idx" on "error_logs" ("agent_id");`);
    this.addSql(`create index "error_logs_task_id_idx" on "error_logs" ("task_id");`);
    this.addSql(`create index "error_logs_fingerprint_occurred_at_idx" on "error_logs" ("fingerprint", "occurred_at");`);
    this.addSql(`create index "error_logs_organization_id_occurred_at_idx" on "error_logs" ("organization_id", "occurred_at");`);

    this.addSql(`create table "billing_records" ("id" uuid not null default sync.uuid_v7(), "created_at" timestamptz(3) not null default now(), "updated_at" timestamptz(3) not null default now(), "organization_id" uuid not null, "user_id" uuid null, "project_id" uuid null, "period_start" date not null, "period_end" date not null, "provider" text not null default '', "model" text not null default '', "input_tokens" bigint not null default '0', "output_tokens" bigint not null default '0', "usage_cost" numeric(18,8) not null default 0, "markup" numeric(18,8) not null default 0, "amount" numeric(18,8) generated always as (usage_cost + markup) stored null, "currency" text not null default 'USD', "status" text not null default 'pending', "invoice_ref" text null, "reverses_id" uuid null, "line_items" jsonb not null default '[]', primary key ("id"));`);
    this.addSql(`create unique index "billing_records_organization_id_user_id_project_id_period_s_key" on "billing_records" ("organization_id", "user_id", "project_id", "period_start", "provider", "model") nulls not distinct where reverses_id is null;`);
    this.addSql(`create index "billing_records_organization_id_period_start_idx" on "billing_records" ("organization_id", "period_start");`);
    this.addSql(`create index "billing_records_status_idx" on "billing_records" ("status");`);
    this.addSql(`create index "billing_records_user_id_idx" on "billing_records" ("user_id");`);
    this.addSql(`create index "billing_records_project_id_idx" on "billing_records" ("project_id");`);
    this.addSql(`create index "billing_records_reverses_id_idx" on "billing_records" ("reverses_id");`);

    this.addSql(`create table "notifications" ("id" uuid not null default sync.uuid_v7(), "organization_id" uuid not null, "channel" text not null, "version" int not null default 1, "origin_device_id" uuid null, "created_at" timestamptz(3) not null default now(), "updated_at" timestamptz(3) not null default now(), "deleted_at" timestamptz(3) null, "user_id" uuid not null, "kind" text not null, "severity" text not null default 'info', "title" text not null, "body" text null, "subject_type" text null, "subject_id" uuid null, "action_url" text null, "channels" text[] not null default '{in_app}', "read_at" timestamptz(3) null, "dismissed_at" timestamptz(3) null, "delivered_at" timestamptz(3) null, primary key ("id"));`);
    this.addSql(`create index "notifications_organization_id_updated_at_idx" on "notifications" ("organization_id", "updated_at");`);
    this.addSql(`create index "notifications_user_id_created_at_idx" on "notifications" ("user_id", "created_at") where read_at is null;`);
    this.addSql(`create index "notifications_organization_id_created_at_idx" on "notifications" ("organization_id", "created_at");`);
    this.addSql(`create index "notifications_user_id_idx" on "notifications" ("user_id");`);
    this.addSql(`alter table "notifications" add constraint "notifications_id_channel_key" unique ("id", "channel");`);

    this.addSql(`create table "model_prices" ("id" uuid not null default sync.uuid_v7(), "organization_id" uuid null, "channel" text not null, "version" int not null default 1, "origin_device_id" uuid null, "created_at" timestamptz(3) not null default now(), "updated_at" timestamptz(3) not null default now(), "provider" text not null, "model" text not null, "input_cost_per_million" numeric(12,6) not null, "output_cost_per_million" numeric(12,6) not null, "cached_input_cost_per_million" numeric(12,6) null, "context_limit" bigint null, "max_output_tokens" bigint null, "currency" text not null default 'USD', "effective_from" timestamptz(3) not null default now(), "effective_to" timestamptz(3) null, "updated_by_user_id" uuid null, "updated_by_label" text null, "notes" text null, primary key ("id"));`);
    this.addSql(`create index "model_prices_organization_id_updated_at_idx" on "model_prices" ("organization_id", "updated_at");`);
    this.addSql(`create unique index "model_prices_organization_id_provider_model_effective_from_key" on "model_prices" ("organization_id", "provider", "model", "effective_from") nulls not distinct;`);
    this.addSql(`create index "model_prices_model_effective_from_idx" on "model_prices" ("model", "effective_from");`);
    this.addSql(`create index "model_prices_updated_by_user_id_idx" on "model_prices" ("updated_by_user_id");`);
    this.addSql(`alter table "model_prices" add constraint "model_prices_id_channel_key" unique ("id", "channel");`);

    this.addSql(`create table "success_criteria" ("id" uuid not null default sync.uuid_v7(), "organization_id" uuid not null, "channel" text not null, "version" int not null default 1, "origin_device_id" uuid null, "created_at" timestamptz(3) not null default now(), "updated_at" timestamptz(3) not null default now(), "deleted_at" timestamptz(3) null, "created_by_user_id" uuid null, "created_by_agent_id" uuid null, "project_id" uuid not null, "plan_id" uuid null, "macro_step_id" uuid null, "task_id" uuid null, "title" text not null, "description" text null, "metric_name" text null, "operator" text not null default 'manual', "target_value" numeric(15,4) null, "actual_value" numeric(15,4) null, "unit" text null, "weight" numeric(4,3) not null default 1, "status" text not null default 'pending', "evidence" jsonb not null default '[]', "evaluated_at" timestamptz(3) null, "evaluated_by_user_id" uuid null, "evaluated_by_agent_id" uuid null, primary key ("id"));`);
    this.addSql(`create index "success_criteria_organization_id_updated_at_idx" on "success_criteria" ("organization_id", "updated_at");`);
    this.addSql(`create index "success_criteria_project_id_status_idx" on "success_criteria" ("project_id", "status");`);
    this.addSql(`create index "success_criteria_macro_step_id_idx" on "success_criteria" ("macro_step_id");`);
    this.addSql(`create index "success_criteria_task_id_idx" on "success_criteria" ("task_id");`);
    this.addSql(`create index "success_criteria_plan_id_idx" on "success_criteria" ("plan_id");`);
    this.addSql(`create index "success_criteria_evaluated_by_user_id_idx" on "success_criteria" ("evaluated_by_user_id");`);
    this.addSql(`create index "success_criteria_evaluated_by_agent_id_idx" on "success_criteria" ("evaluated_by_agent_id");`);
    this.addSql(`alter table "success_criteria" add constraint "success_criteria_id_channel_key" unique ("id", "channel");`);

    this.addSql(`create table "integrations" ("id" uuid not null default sync.uuid_v7(), "organization_id" uuid not null, "channel" text not null, "version" int not null default 1, "origin_device_id" uuid null, "created_at" timestamptz(3) not null default now(), "updated_at" timestamptz(3) not null default now(), "deleted_at" timestamptz(3) null, "created_by_user_id" uuid null, "created_by_agent_id" uuid null, "project_id" uuid null, "provider" text not null, "name" text not null, "status" text not null default 'pending', "repository_owner" text null, "repository_name" text null, "external_team_id" text null, "external_workspace_id" text null, "external_channel_id" text null, "installation_id" text null, "credential_id" uuid null, "sync_settings" jsonb not null default '{}', "last_synced_at" timestamptz(3) null, "sync_cursor" jsonb not null default '{}', "error_count" int not null default 0, "last_error" text null, "metadata" jsonb not null default '{}', primary key ("id"));`);
    this.addSql(`create index "integrations_organization_id_updated_at_idx" on "integrations" ("organization_id", "updated_at");`);
    this.addSql(`create unique index "integrations_organization_id_project_id_provider_name_key" on "integrations" ("organization_id", "project_id", "provider", "name") nulls not distinct where deleted_at is null;`);
    this.addSql(`create index "integrations_provider_status_idx" on "integrations" ("provider", "status");`);
    this.addSql(`create index "integrations_repository_owner_repository_name_idx" on "integrations" ("repository_owner", "repository_name");`);
    this.addSql(`create index "integrations_project_id_idx" on "integrations" ("project_id");`);
    this.addSql(`create index "integrations_credential_id_idx" on "integrations" ("credential_id");`);
    this.addSql(`alter table "integrations" add constraint "integrations_id_channel_key" unique ("id", "channel");`);

    this.addSql(`create table "webhooks" ("id" uuid not null default sync.uuid_v7(), "organization_id" uuid not null, "channel" text not null, "version" int not null default 1, "origin_device_id" uuid null, "created_at" timestamptz(3) not null default now(), "updated_at" timestamptz(3) not null default now(), "deleted_at" timestamptz(3) null, "created_by_user_id" uuid null, "created_by_agent_id" uuid null, "integration_id" uuid not null, "direction" text not null, "name" text not null, "url" text null, "endpoint_key" text null, "event_types" text[] not null default '{}', "secret_credential_id" uuid null, "is_active" boolean not null default true, "retry_policy" jsonb not null default '{}', "last_delivery_at" timestamptz(3) null, "last_status" int null, "failure_count" int not null default 0, primary key ("id"));`);
    this.addSql(`create index "webhooks_organization_id_updated_at_idx" on "webhooks" ("organization_id", "updated_at");`);
    this.addSql(`create index "webhooks_integration_id_idx" on "webhooks" ("integration_id");`);
    this.addSql(`create index "webhooks_secret_credential_id_idx" on "webhooks" ("secret_credential_id");`);
    this.addSql(`alter table "webhooks" add constraint "webhooks_id_channel_key" unique ("id", "channel");`);
    this.addSql(`alter table "webhooks" add constraint "webhooks_endpoint_key_key" unique ("endpoint_key");`);

    this.addSql(`create table "pipelines" ("id" uuid not null default sync.uuid_v7(), "organization_id" uuid not null, "channel" text not null, "version" int not null default 1, "origin_device_id" uuid null, "created_at" timestamptz(3) not null default now(), "updated_at" timestamptz(3) not null default now(), "deleted_at" timestamptz(3) null, "created_by_user_id" uuid null, "created_by_agent_id" uuid null, "project_id" uuid not null, "repository_id" uuid null, "name" text not null, "description" text null, "trigger_kind" text not null default 'manual', "trigger_config" jsonb not null default '{}', "environment" jsonb not null default '{}', "timeout_seconds" int not null default 3600, "is_active" boolean not null default true, "definition_revision" int not null default 1, primary key ("id"));`);
    this.addSql(`create index "pipelines_organization_id_updated_at_idx" on "pipelines" ("organization_id", "updated_at");`);
    this.addSql(`create unique index "pipelines_project_id_name_key" on "pipelines" ("project_id", "name") where deleted_at is null;`);
    this.addSql(`create index "pipelines_repository_id_idx" on "pipelines" ("repository_id");`);
    this.addSql(`create index "pipelines_project_id_idx" on "pipelines" ("project_id");`);
    this.addSql(`alter table "pipelines" add constraint "pipelines_id_channel_key" unique ("id", "channel");`);

    this.addSql(`create table "quality_gates" ("id" uuid not null default sync.uuid_v7(), "organization_id" uuid not null, "channel" text not null, "version" int not null default 1, "origin_device_id" uuid null, "created_at" timestamptz(3) not null default now(), "updated_at" timestamptz(3) not null default now(), "deleted_at" timestamptz(3) null, "created_by_user_id" uuid null, "created_by_agent_id" uuid null, "project_id" uuid not null, "pipeline_id" uuid null, "name" text not null, "metric_name" text not null, "operator" text not null, "threshold" numeric(15,4) not null, "severity" text not null default 'error', "is_blocking" boolean not null default true, "is_active" boolean not null default true, primary key ("id"));`);
    this.addSql(`create index "quality_gates_organization_id_updated_at_idx" on "quality_gates" ("organization_id", "updated_at");`);
    this.addSql(`create unique index "quality_gates_project_id_pipeline_id_name_key" on "quality_gates" ("project_id", "pipeline_id", "name") nulls not distinct where deleted_at is null;`);
    this.addSql(`create index "quality_gates_project_id_idx" on "quality_gates" ("project_id");`);
    this.addSql(`create index "quality_gates_pipeline_id_idx" on "quality_gates" ("pipeline_id");`);
    this.addSql(`alter table "quality_gates" add constraint "quality_gates_id_channel_key" unique ("id", "channel");`);

    this.addSql(`create table "pipeline_steps" ("id" uuid not null default sync.uuid_v7(), "organization_id" uuid not null, "channel" text not null, "version" int not null default 1, "origin_device_id" uuid null, "created_at" timestamptz(3) not null default now(), "updated_at" timestamptz(3) not null default now(), "deleted_at" timestamptz(3) null, "pipeline_id" uuid not null, "name" text not null, "position" int not null default 0, "kind" text not null default 'command', "configuration" jsonb not null default '{}', "depends_on" text[] not null default '{}', "agent_id" uuid null, "retry_limit" int not null default 0, "continue_on_error" boolean not null default false, "timeout_seconds" int null, primary key ("id"));`);
    this.addSql(`create index "pipeline_steps_organization_id_updated_at_idx" on "pipeline_steps" ("organization_id", "updated_at");`);
    this.addSql(`create unique index "pipeline_steps_pipeline_id_name_key" on "pipeline_steps" ("pipeline_id", "name") where deleted_at is null;`);
    this.addSql(`create index "pipeline_steps_pipeline_id_position_idx" on "pipeline_steps" ("pipeline_id", "position");`);
    this.addSql(`create index "pipeline_steps_agent_id_idx" on "pipeline_steps" ("agent_id");`);
    this.addSql(`alter table "pipeline_steps" add constraint "pipeline_steps_id_channel_key" unique ("id", "channel");`);

    this.addSql(`create table "pipeline_executions" ("id" uuid not null default sync.uuid_v7(), "organization_id" uuid not null, "channel" text not null, "version" int not null default 1, "origin_device_id" uuid null, "created_at" timestamptz(3) not null default now(), "updated_at" timestamptz(3) not null default now(), "project_id" uuid not null, "pipeline_id" uuid not null, "run_number" int not null, "definition_revision" int not null, "status" text not null default 'pending', "trigger_kind" text not null, "triggered_by_user_id" uuid null, "triggered_by_agent_id" uuid null, "branch" text null, "commit_sha" text null, "inputs" jsonb not null default '{}', "outputs" jsonb null, "gate_status" text not null default 'none', "queued_at" timestamptz(3) not null default now(), "started_at" timestamptz(3) null, "finished_at" timestamptz(3) null, "duration" interval generated always as (finished_at - started_at) stored null, "error_message" text null, primary key ("id"));`);
    this.addSql(`create index "pipeline_executions_organization_id_updated_at_idx" on "pipeline_executions" ("organization_id", "updated_at");`);
    this.addSql(`create index "pipeline_executions_status_started_at_idx" on "pipeline_executions" ("status", "started_at");`);
    this.addSql(`create index "pipeline_executions_project_id_created_at_idx" on "pipeline_executions" ("project_id", "created_at");`);
    this.addSql(`create index "pipeline_executions_triggered_by_user_id_idx" on "pipeline_executions" ("triggered_by_user_id");`);
    this.addSql(`create index "pipeline_executions_triggered_by_agent_id_idx" on "pipeline_executions" ("triggered_by_agent_id");`);
    this.addSql(`alter table "pipeline_executions" add constraint "pipeline_executions_id_channel_key" unique ("id", "channel");`);
    this.addSql(`alter table "pipeline_executions" add constraint "pipeline_executions_pipeline_id_run_number_key" unique ("pipeline_id", "run_number");`);

    this.addSql(`create table "quality_gate_results" ("id" uuid not null default sync.uuid_v7(), "organization_id" uuid not null, "channel" text not null, "version" int not null default 1, "origin_device_id" uuid null, "created_at" timestamptz(3) not null default now(), "updated_at" timestamptz(3) not null default now(), "project_id" uuid not null, "quality_gate_id" uuid null, "execution_id" uuid not null, "gate_name" text not null, "operator" text not null, "threshold" numeric(15,4) not null, "actual_value" numeric(15,4) null, "passed" boolean not null, "waived_by_user_id" uuid null, "details" jsonb not null default '{}', primary key ("id"));`);
    this.addSql(`create index "quality_gate_results_organization_id_updated_at_idx" on "quality_gate_results" ("organization_id", "updated_at");`);
    this.addSql(`create index "quality_gate_results_quality_gate_id_created_at_idx" on "quality_gate_results" ("quality_gate_id", "created_at");`);
    this.addSql(`create index "quality_gate_results_project_id_idx" on "quality_gate_results" ("project_id");`);
    this.addSql(`create index "quality_gate_results_waived_by_user_id_idx" on "quality_gate_results" ("waived_by_user_id");`);
    this.addSql(`alter table "quality_gate_results" add constraint "quality_gate_results_id_channel_key" unique ("id", "channel");`);
    this.addSql(`alter table "quality_gate_results" add constraint "quality_gate_results_execution_id_gate_name_key" unique ("execution_id", "gate_name");`);

    this.addSql(`create table "integration_events" ("id" uuid not null default sync.uuid_v7(), "occurred_at" timestamptz(3) not null default now(), "created_at" timestamptz(3) not null default now(), "organization_id" uuid not null, "origin_device_id" uuid null, "integration_id" uuid null, "webhook_id" uuid null, "project_id" uuid null, "direction" text not null default 'inbound', "provider" text not null, "event_type" text not null, "external_id" text null, "payload" jsonb not null default '{}', "signature_valid" boolean null, "status" text not null default 'received', "attempts" int not null default 0, "processed_at" timestamptz(3) null, "http_status" int null, "error_message" text null, "latency_ms" int null, primary key ("id", "occurred_at"));`);
    this.addSql(`create index "integration_events_integration_id_occurred_at_idx" on "integration_events" ("integration_id", "occurred_at");`);
    this.addSql(`create index "integration_events_status_occurred_at_idx" on "integration_events" ("status", "occurred_at") where status in ('received','processing','failed');`);
    this.addSql(`create index "integration_events_provider_event_type_occurred_at_idx" on "integration_events" ("provider", "event_type", "occurred_at");`);
    this.addSql(`create index "integration_events_integration_id_external_id_idx" on "integration_events" ("integration_id", "external_id");`);
    this.addSql(`create index "integration_events_project_id_occurred_at_idx" on "integration_events" ("project_id", "occurred_at");`);
    this.addSql(`create index "integration_events_payload_gin" on "integration_events" using gin ("payload" jsonb_path_ops);`);
    this.addSql(`create index "integration_events_organization_id_idx" on "integration_events" ("organization_id");`);

    this.addSql(`create table "feedback_loops" ("id" uuid not null default sync.uuid_v7(), "organization_id" uuid not null, "channel" text not null, "version" int not null default 1, "origin_device_id" uuid null, "created_at" timestamptz(3) not null default now(), "updated_at" timestamptz(3) not null default now(), "deleted_at" timestamptz(3) null, "created_by_user_id" uuid null, "created_by_agent_id" uuid null, "project_id" uuid null, "subject_type" text not null, "subject_id" uuid not null, "source" text not null default 'user', "rating" smallint null, "score" numeric(5,2) null, "comment" text null, "signal" jsonb not null default '{}', "status" text not null default 'open', "action_taken" text null, "applied_to_type" text null, "applied_to_id" uuid null, "outcome" jsonb null, "iteration" int not null default 1, "closed_at" timestamptz(3) null, primary key ("id"));`);
    this.addSql(`create index "feedback_loops_organization_id_updated_at_idx" on "feedback_loops" ("organization_id", "updated_at");`);
    this.addSql(`create index "feedback_loops_subject_type_subject_id_idx" on "feedback_loops" ("subject_type", "subject_id");`);
    this.addSql(`create index "feedback_loops_organization_id_status_created_at_idx" on "feedback_loops" ("organization_id", "status", "created_at");`);
    this.addSql(`create index "feedback_loops_project_id_idx" on "feedback_loops" ("project_id");`);
    this.addSql(`alter table "feedback_loops" add constraint "feedback_loops_id_channel_key" unique ("id", "channel");`);

    this.addSql(`create table "external_links" ("id" uuid not null default sync.uuid_v7(), "organization_id" uuid not null, "channel" text not null, "version" int not null default 1, "origin_device_id" uuid null, "created_at" timestamptz(3) not null default now(), "updated_at" timestamptz(3) not null default now(), "deleted_at" timestamptz(3) null, "integration_id" uuid not null, "local_type" text not null, "local_id" uuid not null, "external_type" text not null, "external_id" text not null, "external_url" text null, "sync_direction" text not null default 'both', "last_local_version" int null, "last_external_at" timestamptz(3) null, "state" jsonb not null default '{}', primary key ("id"));`);
    this.addSql(`create index "external_links_organization_id_updated_at_idx" on "external_links" ("organization_id", "updated_at");`);
    this.addSql(`create unique index "external_links_integration_id_external_type_external_id_key" on "external_links" ("integration_id", "external_type", "external_id") where deleted_at is null;`);
    this.addSql(`create index "external_links_local_type_local_id_idx" on "external_links" ("local_type", "local_id");`);
    this.addSql(`create index "external_links_integration_id_idx" on "external_links" ("integration_id");`);
    this.addSql(`alter table "external_links" add constraint "external_links_id_channel_key" unique ("id", "channel");`);

    this.addSql(`create table "event_subscriptions" ("id" uuid not null default sync.uuid_v7(), "organization_id" uuid not null, "channel" text not null, "version" int not null default 1, "origin_device_id" uuid null, "created_at" timestamptz(3) not null default now(), "updated_at" timestamptz(3) not null default now(), "name" text not null, "agent_id" uuid null, "user_id" uuid null, "device_id" uuid null, "integration_id" uuid null, "source_pattern" text not null default '*', "type_pattern" text not null default '*', "filter" jsonb not null default '{}', "delivery" text not null default 'websocket', "webhook_id" uuid null, "status" text not null default 'active', "cursor_seq" bigint not null default '0', "retry_policy" jsonb not null default '{}', "failure_count" int not null default 0, "last_delivered_at" timestamptz(3) null, "last_error" text null, primary key ("id"));`);
    this.addSql(`create index "event_subscriptions_organization_id_updated_at_idx" on "event_subscriptions" ("organization_id", "updated_at");`);
    this.addSql(`create index "event_subscriptions_agent_id_status_idx" on "event_subscriptions" ("agent_id", "status");`);
    this.addSql(`create index "event_subscriptions_status_idx" on "event_subscriptions" ("status");`);
    this.addSql(`create index "event_subscriptions_user_id_idx" on "event_subscriptions" ("user_id");`);
    this.addSql(`create index "event_subscriptions_device_id_idx" on "event_subscriptions" ("device_id");`);
    this.addSql(`create index "event_subscriptions_integration_id_idx" on "event_subscriptions" ("integration_id");`);
    this.addSql(`create index "event_subscriptions_webhook_id_idx" on "event_subscriptions" ("webhook_id");`);
    this.addSql(`alter table "event_subscriptions" add constraint "event_subscriptions_id_channel_key" unique ("id", "channel");`);
    this.addSql(`alter table "event_subscriptions" add constraint "event_subscriptions_organization_id_name_key" unique ("organization_id", "name");`);

    this.addSql(`create table "event_replays" ("id" uuid not null default sync.uuid_v7(), "created_at" timestamptz(3) not null default now(), "updated_at" timestamptz(3) not null default now(), "organization_id" uuid not null, "subscription_id" uuid null, "requested_by_user_id" uuid null, "requested_by_agent_id" uuid null, "reason" text not null default 'recovery', "from_seq" bigint null, "to_seq" bigint null, "from_time" timestamptz(3) null, "to_time" timestamptz(3) null, "filter" jsonb not null default '{}', "dry_run" boolean not null default false, "status" text not null default 'pending', "events_replayed" bigint not null default '0', "events_failed" bigint not null default '0', "last_seq" bigint null, "error_message" text null, "started_at" timestamptz(3) null, "finished_at" timestamptz(3) null, primary key ("id"));`);
    this.addSql(`create index "event_replays_subscription_id_created_at_idx" on "event_replays" ("subscription_id", "created_at");`);
    this.addSql(`create index "event_replays_status_idx" on "event_replays" ("status");`);
    this.addSql(`create index "event_replays_organization_id_idx" on "event_replays" ("organization_id");`);
    this.addSql(`create index "event_replays_requested_by_user_id_idx" on "event_replays" ("requested_by_user_id");`);
    this.addSql(`create index "event_replays_requested_by_agent_id_idx" on "event_replays" ("requested_by_agent_id");`);

    this.addSql(`create table "enum_values" ("id" uuid not null default sync.uuid_v7(), "organization_id" uuid null, "channel" text not null, "version" int not null default 1, "origin_device_id" uuid null, "created_at" timestamptz(3) not null default now(), "updated_at" timestamptz(3) not null default now(), "enum_name" text not null, "value" text not null, "label" text not null, "description" text null, "sort_order" int not null default 0, "since_schema" int not null default 1, "deprecated_at" timestamptz(3) null, primary key ("id"));`);
    this.addSql(`create index "enum_values_organization_id_updated_at_idx" on "enum_values" ("organization_id", "updated_at");`);
    this.addSql(`alter table "enum_values" add constraint "enum_values_id_channel_key" unique ("id", "channel");`);
    this.addSql(`alter table "enum_values" add constraint "enum_values_enum_name_value_key" unique ("enum_name", "value");`);

    this.addSql(`create table "document_templates" ("id" uuid not null default sync.uuid_v7(), "organization_id" uuid null, "channel" text not null, "version" int not null default 1, "origin_device_id" uuid null, "created_at" timestamptz(3) not null default now(), "updated_at" timestamptz(3) not null default now(), "deleted_at" timestamptz(3) null, "created_by_user_id" uuid null, "created_by_agent_id" uuid null, "key" text not null, "name" text not null, "kind" text not null default 'note', "format" text not null default 'markdown', "body" text not null, "variables" jsonb not null default '[]', "revision" int not null default 1, "is_active" boolean not null default true, primary key ("id"));`);
    this.addSql(`create index "document_templates_organization_id_updated_at_idx" on "document_templates" ("organization_id", "updated_at");`);
    this.addSql(`create unique index "document_templates_organization_id_key_key" on "document_templates" ("organization_id", "key") nulls not distinct where deleted_at is null;`);
    this.addSql(`alter table "document_templates" add constraint "document_templates_id_channel_key" unique ("id", "channel");`);

    this.addSql(`create table "documents" ("id" uuid not null default sync.uuid_v7(), "organization_id" uuid not null, "channel" text not null, "version" int not null default 1, "origin_device_id" uuid null, "created_at" timestamptz(3) not null default now(), "updated_at" timestamptz(3) not null default now(), "deleted_at" timestamptz(3) null, "created_by_user_id" uuid null, "created_by_agent_id" uuid null, "scope" text not null, "project_id" uuid null, "team_id" uuid null, "user_id" uuid null, "agent_id" uuid null, "document_template_id" uuid null, "macro_step_id" uuid null, "task_id" uuid null, "title" text not null, "path" text null, "kind" text not null default 'note', "format" text not null default 'markdown', "status" text not null default 'draft', "content" text not null default '', "content_hash" bytea generated always as (digest(content, 'sha256')) stored null, "head_version_id" uuid null, "revision" int not null default 0, "summary" text null, "tags" text[] not null default '{}', "search_vector" tsvector generated always as (setweight(to_tsvector('english'::regconfig, title), 'A') || setweight(to_tsvector('english'::regconfig, left(content, 250000)), 'B')) stored null, "published_at" timestamptz(3) null, "metadata" jsonb not null default '{}', primary key ("id"));`);
    this.addSql(`create index "documents_organization_id_updated_at_idx" on "documents" ("organization_id", "updated_at");`);
    this.addSql(`create unique index "documents_organization_id_project_id_path_key" on "documents" ("organization_id", "project_id", "path") where deleted_at is null and path is not null;`);
    this.addSql(`create index "documents_project_id_kind_status_idx" on "documents" ("project_id", "kind", "status");`);
    this.addSql(`create index "documents_task_id_idx" on "documents" ("task_id");`);
    this.addSql(`create index "documents_macro_step_id_idx" on "documents" ("macro_step_id");`);
    this.addSql(`create index "documents_search_vector_gin" on "documents" using gin ("search_vector");`);
    this.addSql(`create index "documents_tags_gin" on "documents" using gin ("tags");`);
    this.addSql(`create index "documents_title_trgm" on "documents" using gin ("title" gin_trgm_ops);`);
    this.addSql(`create index "documents_team_id_idx" on "documents" ("team_id");`);
    this.addSql(`create index "documents_user_id_idx" on "documents" ("user_id");`);
    this.addSql(`create index "documents_agent_id_idx" on "documents" ("agent_id");`);
    this.addSql(`create index "documents_document_template_id_idx" on "documents" ("document_template_id");`);
    this.addSql(`create index "documents_head_version_id_idx" on "documents" ("head_version_id");`);
    this.addSql(`alter table "documents" add constraint "documents_id_channel_key" unique ("id", "channel");`);

    this.addSql(`create table "knowledge_entries" ("id" uuid not null default sync.uuid_v7(), "organization_id" uuid not null, "channel" text not null, "version" int not null default 1, "origin_device_id" uuid null, "created_at" timestamptz(3) not null default now(), "updated_at" timestamptz(3) not null default now(), "deleted_at" timestamptz(3) null, "created_by_user_id" uuid null, "created_by_agent_id" uuid null, "scope" text not null, "project_id" uuid null, "team_id" uuid null, "user_id" uuid null, "agent_id" uuid null, "entry_type" text not null, "title" text not null, "content" text not null default '', "summary" text null, "tags" text[] not null default '{}', "categories" text[] not null default '{}', "visibility" text generated always as (case when scope in ('organization','project') then 'public' when scope = 'team' then 'team' else 'private' end) stored null, "source" text not null default 'agent', "source_ref" text null, "task_id" uuid null, "document_id" uuid null, "chunk_index" int null, "revision" int not null default 1, "previous_version_id" uuid null, "is_current" boolean not null default true, "confidence_score" numeric(3,2) null, "quality_score" numeric(3,2) null, "content_hash" bytea generated always as (digest(content, 'sha256')) stored null, "search_vector" tsvector generated always as (setweight(to_tsvector('english'::regconfig, title), 'A') || setweight(to_tsvector('english'::regconfig, left(content, 250000)), 'B')) stored null, "embedding" vector(384) null, "embedding_model" text null, "embedding_status" text not null default 'pending', "embedded_at" timestamptz(3) null, "use_count" int not null default 0, "helpful_count" int not null default 0, "unhelpful_count" int not null default 0, "last_used_at" timestamptz(3) null, "mobile_synced" boolean not null default false, "expires_at" timestamptz(3) null, "metadata" jsonb not null default '{}', primary key ("id"));`);
    this.addSql(`create index "knowledge_entries_organization_id_updated_at_idx" on "knowledge_entries" ("organization_id", "updated_at");`);
    this.addSql(`create index "knowledge_entries_entry_type_idx" on "knowledge_entries" ("entry_type");`);
    this.addSql(`create index "knowledge_entries_created_at_idx" on "knowledge_entries" ("created_at");`);
    this.addSql(`create index "knowledge_entries_expires_at_idx" on "knowledge_entries" ("expires_at") where expires_at is not null;`);
    this.addSql(`create index "knowledge_entries_project_id_entry_type_idx" on "knowledge_entries" ("project_id", "entry_type");`);
    this.addSql(`create index "knowledge_entries_task_id_idx" on "knowledge_entries" ("task_id");`);
    this.addSql(`create index "knowledge_entries_document_id_chunk_index_idx" on "knowledge_entries" ("document_id", "chunk_index");`);
    this.addSql(`create index "knowledge_entries_previous_version_id_idx" on "knowledge_entries" ("previous_version_id");`);
    this.addSql(`create index "knowledge_entries_mobile_synced_idx" on "knowledge_entries" ("mobile_synced") where mobile_synced;`);
    this.addSql(`create index "knowledge_entries_organization_id_content_hash_idx" on "knowledge_entries" ("organization_id", "content_hash");`);
    this.addSql(`create index "knowledge_entries_tags_gin" on "knowledge_entries" using gin ("tags");`);
    this.addSql(`create index "knowledge_entries_categories_gin" on "knowledge_entries" using gin ("categories");`);
    this.addSql(`create index "knowledge_entries_search_vector_gin" on "knowledge_entries" using gin ("search_vector");`);
    this.addSql(`create index "knowledge_entries_metadata_gin" on "knowledge_entries" using gin ("metadata" jsonb_path_ops);`);
    this.addSql(`create index "knowledge_entries_title_trgm" on "knowledge_entries" using gin ("title" gin_trgm_ops);`);
    this.addSql(`create index "knowledge_entries_embedding_hnsw" on "knowledge_entries" using hnsw ("embedding" vector_cosine_ops) with (m = 16, ef_construction = 64) where is_current and deleted_at is null;`);
    this.addSql(`create index "knowledge_entries_team_id_idx" on "knowledge_entries" ("team_id");`);
    this.addSql(`create index "knowledge_entries_user_id_idx" on "knowledge_entries" ("user_id");`);
    this.addSql(`create index "knowledge_entries_agent_id_idx" on "knowledge_entries" ("agent_id");`);
    this.addSql(`alter table "knowledge_entries" add constraint "knowledge_entries_id_channel_key" unique ("id", "channel");`);

    this.addSql(`create table "patterns" ("id" uuid not null default sync.uuid_v7(), "organization_id" uuid not null, "channel" text not null, "version" int not null default 1, "origin_device_id" uuid null, "created_at" timestamptz(3) not null default now(), "updated_at" timestamptz(3) not null default now(), "deleted_at" timestamptz(3) null, "created_by_user_id" uuid null, "created_by_agent_id" uuid null, "project_id" uuid null, "name" text not null, "kind" text not null, "status" text not null default 'candidate', "description" text null, "problem" text null, "solution" text null, "context" jsonb not null default '{}', "examples" jsonb not null default '[]', "applicability" jsonb not null default '{}', "tags" text[] not null default '{}', "occurrence_count" int not null default 0, "success_count" int not null default 0, "failure_count" int not null default 0, "success_rate" numeric(5,4) generated always as (case when success_count + failure_count > 0 then round(success_count::numeric / (success_count + failure_count)::numeric, 4) else null::numeric end) stored null, "confidence" numeric(4,3) not null default 0.5, "knowledge_entry_id" uuid null, "embedding" vector(384) null, "embedding_model" text null, "first_seen_at" timestamptz(3) null, "last_seen_at" timestamptz(3) null, primary key ("id"));`);
    this.addSql(`create index "patterns_organization_id_updated_at_idx" on "patterns" ("organization_id", "updated_at");`);
    this.addSql(`create index "patterns_organization_id_kind_status_idx" on "patterns" ("organization_id", "kind", "status");`);
    this.addSql(`create index "patterns_tags_gin" on "patterns" using gin ("tags");`);
    this.addSql(`create index "patterns_name_trgm" on "patterns" using gin ("name" gin_trgm_ops);`);
    this.addSql(`create index "patterns_embedding_hnsw" on "patterns" using hnsw ("embedding" vector_cosine_ops) with (m = 16, ef_construction = 64);`);
    this.addSql(`create index "patterns_project_id_idx" on "patterns" ("project_id");`);
    this.addSql(`create index "patterns_knowledge_entry_id_idx" on "patterns" ("knowledge_entry_id");`);
    this.addSql(`alter table "patterns" add constraint "patterns_id_channel_key" unique ("id", "channel");`);

    this.addSql(`create table "knowledge_grants" ("id" uuid not null default sync.uuid_v7(), "organization_id" uuid not null, "channel" text not null, "version" int not null default 1, "origin_device_id" uuid null, "created_at" timestamptz(3) not null default now(), "updated_at" timestamptz(3) not null default now(), "deleted_at" timestamptz(3) null, "knowledge_entry_id" uuid not null, "user_id" uuid null, "agent_id" uuid null, "team_id" uuid null, "can_edit" boolean not null default false, primary key ("id"));`);
    this.addSql(`create index "knowledge_grants_organization_id_updated_at_idx" on "knowledge_grants" ("organization_id", "updated_at");`);
    this.addSql(`create unique index "knowledge_grants_knowledge_entry_id_user_id_key" on "knowledge_grants" ("knowledge_entry_id", "user_id") where deleted_at is null;`);
    this.addSql(`create unique index "knowledge_grants_knowledge_entry_id_agent_id_key" on "knowledge_grants" ("knowledge_entry_id", "agent_id") where deleted_at is null;`);
    this.addSql(`create unique index "knowledge_grants_knowledge_entry_id_team_id_key" on "knowledge_grants" ("knowledge_entry_id", "team_id") where deleted_at is null;`);
    this.addSql(`create index "knowledge_grants_knowledge_entry_id_idx" on "knowledge_grants" ("knowledge_entry_id");`);
    this.addSql(`create index "knowledge_grants_user_id_idx" on "knowledge_grants" ("user_id");`);
    this.addSql(`create index "knowledge_grants_agent_id_idx" on "knowledge_grants" ("agent_id");`);
    this.addSql(`create index "knowledge_grants_team_id_idx" on "knowledge_grants" ("team_id");`);
    this.addSql(`alter table "knowledge_grants" add constraint "knowledge_grants_id_channel_key" unique ("id", "channel");`);

    this.addSql(`create table "document_versions" ("id" uuid not null default sync.uuid_v7(), "organization_id" uuid not null, "channel" text not null, "version" int not null default 1, "origin_device_id" uuid null, "created_at" timestamptz(3) not null default now(), "updated_at" timestamptz(3) not null default now(), "created_by_user_id" uuid null, "created_by_agent_id" uuid null, "document_id" uuid not null, "parent_version_id" uuid null, "merged_version_id" uuid null, "revision" int null, "title" text not null, "content" text not null, "content_hash" bytea generated always as (digest(content, 'sha256')) stored null, "change_summary" text null, "metadata" jsonb not null default '{}', primary key ("id"));`);
    this.addSql(`create index "document_versions_organization_id_updated_at_idx" on "document_versions" ("organization_id", "updated_at");`);
    this.addSql(`create index "document_versions_document_id_created_at_idx" on "document_versions" ("document_id", "created_at");`);
    this.addSql(`create index "document_versions_parent_version_id_idx" on "document_versions" ("parent_version_id");`);
    this.addSql(`create index "document_versions_merged_version_id_idx" on "document_versions" ("merged_version_id");`);
    this.addSql(`alter table "document_versions" add constraint "document_versions_id_channel_key" unique ("id", "channel");`);
    this.addSql(`alter table "document_versions" add constraint "document_versions_document_id_revision_key" unique ("document_id", "revision");`);

    this.addSql(`create table "document_links" ("id" uuid not null default sync.uuid_v7(), "organization_id" uuid not null, "channel" text not null, "version" int not null default 1, "origin_device_id" uuid null, "created_at" timestamptz(3) not null default now(), "updated_at" timestamptz(3) not null default now(), "deleted_at" timestamptz(3) null, "created_by_user_id" uuid null, "created_by_agent_id" uuid null, "document_id" uuid not null, "target_type" text not null, "target_document_id" uuid null, "target_id" uuid null, "target_url" text null, "link_kind" text not null default 'references', "anchor" text null, primary key ("id"));`);
    this.addSql(`create index "document_links_organization_id_updated_at_idx" on "document_links" ("organization_id", "updated_at");`);
    this.addSql(`create index "document_links_document_id_idx" on "document_links" ("document_id");`);
    this.addSql(`create index "document_links_target_document_id_idx" on "document_links" ("target_document_id");`);
    this.addSql(`create index "document_links_target_type_target_id_idx" on "document_links" ("target_type", "target_id");`);
    this.addSql(`create unique index "document_links_document_id_target_type_target_document_id_t_key" on "document_links" ("document_id", "target_type", "target_document_id", "target_id", "target_url", "link_kind") nulls not distinct where deleted_at is null;`);
    this.addSql(`alter table "document_links" add constraint "document_links_id_channel_key" unique ("id", "channel");`);

    this.addSql(`create table "cost_models" ("id" uuid not null default sync.uuid_v7(), "organization_id" uuid not null, "channel" text not null, "version" int not null default 1, "origin_device_id" uuid null, "created_at" timestamptz(3) not null default now(), "updated_at" timestamptz(3) not null default now(), "deleted_at" timestamptz(3) null, "created_by_user_id" uuid null, "created_by_agent_id" uuid null, "name" text not null, "kind" text not null, "target" text not null default 'tokens', "parameters" jsonb not null default '{}', "feature_names" text[] not null default '{}', "sample_count" int not null default 0, "mean_absolute_error" double precision null, "mean_absolute_pct_error" double precision null, "r_squared" double precision null, "revision" int not null default 1, "is_active" boolean not null default false, "trained_at" timestamptz(3) null, primary key ("id"));`);
    this.addSql(`create index "cost_models_organization_id_updated_at_idx" on "cost_models" ("organization_id", "updated_at");`);
    this.addSql(`create unique index "cost_models_organization_id_name_revision_key" on "cost_models" ("organization_id", "name", "revision") where deleted_at is null;`);
    this.addSql(`create unique index "cost_models_organization_id_target_key" on "cost_models" ("organization_id", "target") where is_active and deleted_at is null;`);
    this.addSql(`alter table "cost_models" add constraint "cost_models_id_channel_key" unique ("id", "channel");`);

    this.addSql(`create table "cost_estimates" ("id" uuid not null default sync.uuid_v7(), "organization_id" uuid not null, "channel" text not null, "version" int not null default 1, "origin_device_id" uuid null, "created_at" timestamptz(3) not null default now(), "updated_at" timestamptz(3) not null default now(), "deleted_at" timestamptz(3) null, "created_by_user_id" uuid null, "created_by_agent_id" uuid null, "project_id" uuid not null, "plan_id" uuid null, "phase_id" uuid null, "macro_step_id" uuid null, "task_id" uuid null, "cost_model_id" uuid null, "provider" text null, "model" text null, "status" text not null default 'draft', "estimated_input_tokens" bigint not null default '0', "estimated_output_tokens" bigint not null default '0', "cost_low" numeric(14,6) null, "cost_expected" numeric(14,6) not null, "cost_high" numeric(14,6) null, "confidence" numeric(3,2) null, "line_items" jsonb not null default '[]', "assumptions" jsonb not null default '[]', "actual_cost" numeric(18,8) null, "variance_ratio" double precision generated always as (case when cost_expected > 0::numeric then ((actual_cost - cost_expected) / cost_expected)::double precision else null::double precision end) stored null, "closed_at" timestamptz(3) null, primary key ("id"));`);
    this.addSql(`create index "cost_estimates_organization_id_updated_at_idx" on "cost_estimates" ("organization_id", "updated_at");`);
    this.addSql(`create index "cost_estimates_project_id_status_idx" on "cost_estimates" ("project_id", "status");`);
    this.addSql(`create index "cost_estimates_macro_step_id_idx" on "cost_estimates" ("macro_step_id");`);
    this.addSql(`create index "cost_estimates_task_id_idx" on "cost_estimates" ("task_id");`);
    this.addSql(`create index "cost_estimates_plan_id_idx" on "cost_estimates" ("plan_id");`);
    this.addSql(`create index "cost_estimates_phase_id_idx" on "cost_estimates" ("phase_id");`);
    this.addSql(`create index "cost_estimates_cost_model_id_idx" on "cost_estimates" ("cost_model_id");`);
    this.addSql(`alter table "cost_estimates" add constraint "cost_estimates_id_channel_key" unique ("id", "channel");`);

    this.addSql(`create table "complexity_metrics" ("id" uuid not null default sync.uuid_v7(), "organization_id" uuid not null, "channel" text not null, "version" int not null default 1, "origin_device_id" uuid null, "created_at" timestamptz(3) not null default now(), "updated_at" timestamptz(3) not null default now(), "created_by_user_id" uuid null, "created_by_agent_id" uuid null, "project_id" uuid not null, "task_id" uuid null, "macro_step_id" uuid null, "repository_id" uuid null, "lines_of_code" int null, "files_touched" int null, "dependency_count" int null, "cyclomatic_complexity" numeric(10,2) null, "integration_count" int null, "novelty" numeric(3,2) null, "ambiguity" numeric(3,2) null, "complexity_score" numeric(5,2) not null, "factors" jsonb not null default '{}', "estimated_tokens" bigint null, "actual_tokens" bigint null, "estimation_error" double precision generated always as (case when actual_tokens > 0 then (estimated_tokens - actual_tokens)::double precision / actual_tokens::double precision else null::double precision end) stored null, "measured_at" timestamptz(3) not null default now(), primary key ("id"));`);
    this.addSql(`create index "complexity_metrics_organization_id_updated_at_idx" on "complexity_metrics" ("organization_id", "updated_at");`);
    this.addSql(`create index "complexity_metrics_project_id_measured_at_idx" on "complexity_metrics" ("project_id", "measured_at");`);
    this.addSql(`create index "complexity_metrics_task_id_idx" on "complexity_metrics" ("task_id");`);
    this.addSql(`create index "complexity_metrics_macro_step_id_idx" on "complexity_metrics" ("macro_step_id");`);
    this.addSql(`create index "complexity_metrics_repository_id_idx" on "complexity_metrics" ("repository_id");`);
    this.addSql(`alter table "complexity_metrics" add constraint "complexity_metrics_id_channel_key" unique ("id", "channel");`);

    this.addSql(`create table "agent_permissions" ("id" uuid not null default sync.uuid_v7(), "organization_id" uuid null, "channel" text not null, "version" int not null default 1, "origin_device_id" uuid null, "created_at" timestamptz(3) not null default now(), "updated_at" timestamptz(3) not null default now(), "deleted_at" timestamptz(3) null, "agent_type" text not null, "agent_id" uuid null, "tool_name" text not null, "allowed" boolean not null default false, "operations" text[] not null default '{}', "constraints" jsonb not null default '{}', "reason" text null, primary key ("id"));`);
    this.addSql(`create index "agent_permissions_organization_id_updated_at_idx" on "agent_permissions" ("organization_id", "updated_at");`);
    this.addSql(`create unique index "agent_permissions_organization_id_agent_type_agent_id_tool__key" on "agent_permissions" ("organization_id", "agent_type", "agent_id", "tool_name") nulls not distinct where deleted_at is null;`);
    this.addSql(`create index "agent_permissions_agent_type_idx" on "agent_permissions" ("agent_type");`);
    this.addSql(`create index "agent_permissions_agent_id_idx" on "agent_permissions" ("agent_id");`);
    this.addSql(`alter table "agent_permissions" add constraint "agent_permissions_id_channel_key" unique ("id", "channel");`);

    this.addSql(`create table "pipeline_step_executions" ("id" uuid not null default sync.uuid_v7(), "organization_id" uuid not null, "channel" text not null, "version" int not null default 1, "origin_device_id" uuid null, "created_at" timestamptz(3) not null default now(), "updated_at" timestamptz(3) not null default now(), "project_id" uuid not null, "execution_id" uuid not null, "step_id" uuid null, "step_name" text not null, "position" int not null default 0, "attempt" int not null default 1, "status" text not null default 'pending', "agent_id" uuid null, "task_run_id" uuid null, "exit_code" int null, "log_tail" text null, "log_uri" text null, "outputs" jsonb null, "started_at" timestamptz(3) null, "finished_at" timestamptz(3) null, "error_message" text null, primary key ("id"));`);
    this.addSql(`create index "pipeline_step_executions_organization_id_updated_at_idx" on "pipeline_step_executions" ("organization_id", "updated_at");`);
    this.addSql(`create index "pipeline_step_executions_step_id_idx" on "pipeline_step_executions" ("step_id");`);
    this.addSql(`create index "pipeline_step_executions_status_idx" on "pipeline_step_executions" ("status");`);
    this.addSql(`create index "pipeline_step_executions_project_id_idx" on "pipeline_step_executions" ("project_id");`);
    this.addSql(`create index "pipeline_step_executions_agent_id_idx" on "pipeline_step_executions" ("agent_id");`);
    this.addSql(`create index "pipeline_step_executions_task_run_id_idx" on "pipeline_step_executions" ("task_run_id");`);
    this.addSql(`alter table "pipeline_step_executions" add constraint "pipeline_step_executions_id_channel_key" unique ("id", "channel");`);
    this.addSql(`alter table "pipeline_step_executions" add constraint "pipeline_step_executions_execution_id_step_name_attempt_key" unique ("execution_id", "step_name", "attempt");`);

    this.addSql(`create table "pipeline_artifacts" ("id" uuid not null default sync.uuid_v7(), "organization_id" uuid not null, "channel" text not null, "version" int not null default 1, "origin_device_id" uuid null, "created_at" timestamptz(3) not null default now(), "updated_at" timestamptz(3) not null default now(), "project_id" uuid not null, "execution_id" uuid not null, "step_execution_id" uuid null, "name" text not null, "kind" text not null default 'file', "storage_uri" text not null, "size_bytes" bigint null, "sha256" bytea null, "content_type" text null, "expires_at" timestamptz(3) null, "metadata" jsonb not null default '{}', primary key ("id"));`);
    this.addSql(`create index "pipeline_artifacts_organization_id_updated_at_idx" on "pipeline_artifacts" ("organization_id", "updated_at");`);
    this.addSql(`create index "pipeline_artifacts_expires_at_idx" on "pipeline_artifacts" ("expires_at") where expires_at is not null;`);
    this.addSql(`create index "pipeline_artifacts_project_id_idx" on "pipeline_artifacts" ("project_id");`);
    this.addSql(`create index "pipeline_artifacts_step_execution_id_idx" on "pipeline_artifacts" ("step_execution_id");`);
    this.addSql(`alter table "pipeline_artifacts" add constraint "pipeline_artifacts_id_channel_key" unique ("id", "channel");`);
    this.addSql(`alter table "pipeline_artifacts" add constraint "pipeline_artifacts_execution_id_name_key" unique ("execution_id", "name");`);

    this.addSql(`create table "token_usages" ("id" uuid not null default sync.uuid_v7(), "occurred_at" timestamptz(3) not null default now(), "created_at" timestamptz(3) not null default now(), "organization_id" uuid not null, "origin_device_id" uuid null, "project_id" uuid null, "task_id" uuid null, "task_run_id" uuid null, "macro_step_id" uuid null, "agent_id" uuid null, "agent_label" text not null default '', "user_id" uuid null, "conversation_id" uuid null, "credential_id" uuid null, "provider" text not null default 'openrouter', "model" text not null, "input_tokens" bigint not null, "output_tokens" bigint not null, "cached_input_tokens" bigint not null default '0', "reasoning_tokens" bigint not null default '0', "total_tokens" bigint generated always as (input_tokens + output_tokens) stored null, "model_price_id" uuid null, "cost_usd" numeric(18,8) null, "request_id" text null, "purpose" text null, "latency_ms" int null, "metadata" jsonb not null default '{}', primary key ("id", "occurred_at"));`);
    this.addSql(`create index "token_usages_occurred_at_idx" on "token_usages" ("occurred_at");`);
    this.addSql(`create index "token_usages_agent_id_occurred_at_idx" on "token_usages" ("agent_id", "occurred_at");`);
    this.addSql(`create index "token_usages_project_id_agent_id_idx" on "token_usages" ("project_id", "agent_id");`);
    this.addSql(`create index "token_usages_model_occurred_at_idx" on "token_usages" ("model", "occurred_at");`);
    this.addSql(`create index "token_usages_organization_id_occurred_at_idx" on "token_usages" ("organization_id", "occurred_at");`);
    this.addSql(`create index "token_usages_project_id_occurred_at_idx" on "token_usages" ("project_id", "occurred_at") include (agent_id, model, input_tokens, output_tokens, cost_usd);`);
    this.addSql(`create index "token_usages_task_run_id_idx" on "token_usages" ("task_run_id");`);
    this.addSql(`create index "token_usages_request_id_idx" on "token_usages" ("request_id") where request_id is not null;`);
    this.addSql(`create index "token_usages_task_id_idx" on "token_usages" ("task_id");`);
    this.addSql(`create index "token_usages_macro_step_id_idx" on "token_usages" ("macro_step_id");`);
    this.addSql(`create index "token_usages_user_id_idx" on "token_usages" ("user_id");`);
    this.addSql(`create index "token_usages_conversation_id_idx" on "token_usages" ("conversation_id");`);
    this.addSql(`create index "token_usages_credential_id_idx" on "token_usages" ("credential_id");`);
    this.addSql(`create index "token_usages_model_price_id_idx" on "token_usages" ("model_price_id");`);

    this.addSql(`alter table "repositories" add constraint "repositories_integration_id_foreign" foreign key ("integration_id") references "integrations" ("id") on update no action on delete set null;`);
    this.addSql(`create index "repositories_integration_id_idx" on "repositories" ("integration_id");`);

    this.addSql(`alter table "task_runs" add constraint "task_runs_prompt_id_foreign" foreign key ("prompt_id") references "prompts" ("id") on update no action on delete set null;`);
    this.addSql(`create index "task_runs_prompt_id_idx" on "task_runs" ("prompt_id");`);

    this.addSql(`alter table "conversations" add constraint "conversations_prompt_id_foreign" foreign key ("prompt_id") references "prompts" ("id") on update no action on delete set null;`);
    this.addSql(`create index "conversations_prompt_id_idx" on "conversations" ("prompt_id");`);

    this.addSql(`alter table "backup_runs" add constraint "backup_runs_tested_backup_id_foreign" foreign key ("tested_backup_id") references "backup_runs" ("id") on update no action on delete set null;`);
    this.addSql(`alter table "backup_runs" add constraint "backup_runs_kind_check" check ("kind" in ('full', 'schema_only', 'restore_test'));`);
    this.addSql(`alter table "backup_runs" add constraint "backup_runs_status_check" check ("status" in ('running', 'completed', 'failed'));`);

    this.addSql(`alter table "maintenance_runs" add constraint "maintenance_runs_kind_check" check ("kind" in ('retention', 'partitions', 'analytics', 'rollup', 'memory_decay', 'lease_sweep', 'embedding', 'analyze', 'integrity_check', 'backup_check'));`);
    this.addSql(`alter table "maintenance_runs" add constraint "maintenance_runs_status_check" check ("status" in ('running', 'completed', 'failed', 'skipped'));`);

    this.addSql(`alter table "event_metrics" add constraint "event_metrics_organization_id_foreign" foreign key ("organization_id") references "organizations" ("id") on update no action on delete cascade;`);

    this.addSql(`alter table "error_log_summaries" add constraint "error_log_summaries_organization_id_foreign" foreign key ("organization_id") references "organizations" ("id") on update no action on delete cascade;`);
    this.addSql(`alter table "error_log_summaries" add constraint "error_log_summaries_count_check" check ("count" >= 0);`);

    this.addSql(`alter table "audit_logs" add constraint "audit_logs_organization_id_foreign" foreign key ("organization_id") references "organizations" ("id") on update no action on delete cascade;`);
    this.addSql(`alter table "audit_logs" add constraint "audit_logs_action_check" check (char_length("action") >= 1 and char_length("action") <= 80);`);
    this.addSql(`alter table "audit_logs" add constraint "audit_logs_outcome_check" check ("outcome" in ('success', 'denied', 'failed'));`);

    this.addSql(`alter table "retention_policies" add constraint "retention_policies_organization_id_foreign" foreign key ("organization_id") references "organizations" ("id") on update no action on delete cascade;`);
    this.addSql(`alter table "retention_policies" add constraint "retention_policies_name_check" check (char_length("name") >= 1 and char_length("name") <= 120);`);
    this.addSql(`alter table "retention_policies" add constraint "retention_policies_batch_size_check" check ("batch_size" >= 1 and "batch_size" <= 100000);`);
    this.addSql(`alter table "retention_policies" add constraint "retention_policies_period_check" check (action = 'keep' or condition = 'expired' or keep_for is not null);`);
    this.addSql(`alter table "retention_policies" add constraint "retention_policies_condition_check" check ("condition" in ('none', 'expired', 'soft_deleted', 'terminal', 'read', 'stopped'));`);
    this.addSql(`alter table "retention_policies" add constraint "retention_policies_action_check" check ("action" in ('keep', 'delete', 'summarize_then_delete', 'archive_then_delete'));`);

    this.addSql(`alter table "system_metric_rollups" add constraint "system_metric_rollups_organization_id_foreign" foreign key ("organization_id") references "organizations" ("id") on update no action on delete cascade;`);
    this.addSql(`alter table "system_metric_rollups" add constraint "system_metric_rollups_bucket_check" check ("bucket" in ('hour', 'day'));`);

    this.addSql(`alter table "system_settings" add constraint "system_settings_updated_by_user_id_foreign" foreign key ("updated_by_user_id") references "users" ("id") on update no action on delete set null;`);
    this.addSql(`alter table "system_settings" add constraint "system_settings_key_check" check ("key" ~ '^[a-z][a-z0-9_.]{1,79}\$');`);

    this.addSql(`alter table "prompts" add constraint "prompts_organization_id_foreign" foreign key ("organization_id") references "organizations" ("id") on update no action on delete cascade;`);
    this.addSql(`alter table "prompts" add constraint "prompts_origin_device_id_foreign" foreign key ("origin_device_id") references "devices" ("id") on update no action on delete set null;`);
    this.addSql(`alter table "prompts" add constraint "prompts_created_by_user_id_foreign" foreign key ("created_by_user_id") references "users" ("id") on update no action on delete set null;`);
    this.addSql(`alter table "prompts" add constraint "prompts_created_by_agent_id_foreign" foreign key ("created_by_agent_id") references "agents" ("id") on update no action on delete set null;`);
    this.addSql(`alter table "prompts" add constraint "prompts_parent_prompt_id_foreign" foreign key ("parent_prompt_id") references "prompts" ("id") on update no action on delete set null;`);
    this.addSql(`alter table "prompts" add constraint "prompts_version_check" check ("version" > 0);`);
    this.addSql(`alter table "prompts" add constraint "prompts_author_check" check (num_nonnulls(created_by_user_id, created_by_agent_id) <= 1);`);
    this.addSql(`alter table "prompts" add constraint "prompts_name_check" check (char_length("name") >= 1 and char_length("name") <= 120);`);
    this.addSql(`alter table "prompts" add constraint "prompts_semver_check" check ("semver" ~ '^(0|[1-9][0-9]*)\\.(0|[1-9][0-9]*)\\.(0|[1-9][0-9]*)(-[0-9A-Za-z.-]+)?\$');`);
    this.addSql(`alter table "prompts" add constraint "prompts_prompt_text_check" check (char_length("prompt_text") >= 1 and char_length("prompt_text") <= 200000);`);
    this.addSql(`alter table "prompts" add constraint "prompts_status_check" check ("status" in ('draft', 'testing', 'approved', 'retired'));`);

    this.addSql(`alter table "prompt_test_results" add constraint "prompt_test_results_organization_id_foreign" foreign key ("organization_id") references "organizations" ("id") on update no action on delete cascade;`);
    this.addSql(`alter table "prompt_test_results" add constraint "prompt_test_results_origin_device_id_foreign" foreign key ("origin_device_id") references "devices" ("id") on update no action on delete set null;`);
    this.addSql(`alter table "prompt_test_results" add constraint "prompt_test_results_prompt_id_foreign" foreign key ("prompt_id") references "prompts" ("id") on update no action on delete cascade;`);
    this.addSql(`alter table "prompt_test_results" add constraint "prompt_test_results_version_check" check ("version" > 0);`);
    this.addSql(`alter table "prompt_test_results" add constraint "prompt_test_results_test_name_check" check (char_length("test_name") >= 1 and char_length("test_name") <= 255);`);
    this.addSql(`alter table "prompt_test_results" add constraint "prompt_test_results_score_check" check ("score" >= 0 and "score" <= 100);`);
    this.addSql(`alter table "prompt_test_results" add constraint "prompt_test_results_evaluator_check" check (char_length("evaluator") >= 1 and char_length("evaluator") <= 100);`);

    this.addSql(`alter table "tool_audit_logs" add constraint "tool_audit_logs_organization_id_foreign" foreign key ("organization_id") references "organizations" ("id") on update no action on delete cascade;`);
    this.addSql(`alter table "tool_audit_logs" add constraint "tool_audit_logs_project_id_foreign" foreign key ("project_id") references "projects" ("id") on update no action on delete set null;`);
    this.addSql(`alter table "tool_audit_logs" add constraint "tool_audit_logs_agent_id_foreign" foreign key ("agent_id") references "agents" ("id") on update no action on delete set null;`);
    this.addSql(`alter table "tool_audit_logs" add constraint "tool_audit_logs_tool_name_check" check (char_length("tool_name") >= 1 and char_length("tool_name") <= 100);`);
    this.addSql(`alter table "tool_audit_logs" add constraint "tool_audit_logs_operation_check" check (char_length("operation") >= 1 and char_length("operation") <= 100);`);

    this.addSql(`alter table "token_usage_daily" add constraint "token_usage_daily_organization_id_foreign" foreign key ("organization_id") references "organizations" ("id") on update no action on delete cascade;`);
    this.addSql(`alter table "token_usage_daily" add constraint "token_usage_daily_project_id_foreign" foreign key ("project_id") references "projects" ("id") on update no action on delete set null;`);
    this.addSql(`alter table "token_usage_daily" add constraint "token_usage_daily_agent_id_foreign" foreign key ("agent_id") references "agents" ("id") on update no action on delete set null;`);

    this.addSql(`alter table "system_metrics" add constraint "system_metrics_organization_id_foreign" foreign key ("organization_id") references "organizations" ("id") on update no action on delete cascade;`);
    this.addSql(`alter table "system_metrics" add constraint "system_metrics_project_id_foreign" foreign key ("project_id") references "projects" ("id") on update no action on delete set null;`);
    this.addSql(`alter table "system_metrics" add constraint "system_metrics_agent_id_foreign" foreign key ("agent_id") references "agents" ("id") on update no action on delete set null;`);
    this.addSql(`alter table "system_metrics" add constraint "system_metrics_metric_name_check" check ("metric_name" ~ '^[a-z][a-z0-9_.]{1,119}\$');`);
    this.addSql(`alter table "system_metrics" add constraint "system_metrics_metric_type_check" check ("metric_type" in ('counter', 'gauge', 'histogram'));`);

    this.addSql(`alter table "events" add constraint "events_organization_id_foreign" foreign key ("organization_id") references "organizations" ("id") on update no action on delete cascade;`);
    this.addSql(`alter table "events" add constraint "events_project_id_foreign" foreign key ("project_id") references "projects" ("id") on update no action on delete set null;`);
    this.addSql(`alter table "events" add constraint "events_agent_id_foreign" foreign key ("agent_id") references "agents" ("id") on update no action on delete set null;`);
    this.addSql(`alter table "events" add constraint "events_user_id_foreign" foreign key ("user_id") references "users" ("id") on update no action on delete set null;`);
    this.addSql(`alter table "events" add constraint "events_source_check" check (char_length("source") >= 1 and char_length("source") <= 120);`);
    this.addSql(`alter table "events" add constraint "events_type_check" check (char_length("type") >= 1 and char_length("type") <= 160);`);
    this.addSql(`alter table "events" add constraint "events_priority_check" check ("priority" in ('low', 'medium', 'high', 'critical'));`);

    this.addSql(`alter table "error_logs" add constraint "error_logs_organization_id_foreign" foreign key ("organization_id") references "organizations" ("id") on update no action on delete cascade;`);
    this.addSql(`alter table "error_logs" add constraint "error_logs_project_id_foreign" foreign key ("project_id") references "projects" ("id") on update no action on delete set null;`);
    this.addSql(`alter table "error_logs" add constraint "error_logs_agent_id_foreign" foreign key ("agent_id") references "agents" ("id") on update no action on delete set null;`);
    this.addSql(`alter table "error_logs" add constraint "error_logs_task_id_foreign" foreign key ("task_id") references "tasks" ("id") on update no action on delete set null;`);
    this.addSql(`alter table "error_logs" add constraint "error_logs_category_check" check (char_length("category") >= 1 and char_length("category") <= 50);`);
    this.addSql(`alter table "error_logs" add constraint "error_logs_severity_check" check ("severity" in ('debug', 'info', 'warning', 'error', 'critical'));`);

    this.addSql(`alter table "billing_records" add constraint "billing_records_organization_id_foreign" foreign key ("organization_id") references "organizations" ("id") on update no action on delete restrict;`);
    this.addSql(`alter table "billing_records" add constraint "billing_records_user_id_foreign" foreign key ("user_id") references "users" ("id") on update no action on delete set null;`);
    this.addSql(`alter table "billing_records" add constraint "billing_records_project_id_foreign" foreign key ("project_id") references "projects" ("id") on update no action on delete set null;`);
    this.addSql(`alter table "billing_records" add constraint "billing_records_reverses_id_foreign" foreign key ("reverses_id") references "billing_records" ("id") on update no action on delete restrict;`);
    this.addSql(`alter table "billing_records" add constraint "billing_records_currency_check" check (char_length("currency") >= 3 and char_length("currency") <= 3);`);
    this.addSql(`alter table "billing_records" add constraint "billing_records_period_check" check (period_end > period_start);`);
    this.addSql(`alter table "billing_records" add constraint "billing_records_status_check" check ("status" in ('pending', 'invoiced', 'paid', 'void', 'refunded'));`);

    this.addSql(`alter table "notifications" add constraint "notifications_organization_id_foreign" foreign key ("organization_id") references "organizations" ("id") on update no action on delete cascade;`);
    this.addSql(`alter table "notifications" add constraint "notifications_origin_device_id_foreign" foreign key ("origin_device_id") references "devices" ("id") on update no action on delete set null;`);
    this.addSql(`alter table "notifications" add constraint "notifications_user_id_foreign" foreign key ("user_id") references "users" ("id") on update no action on delete cascade;`);
    this.addSql(`alter table "notifications" add constraint "notifications_version_check" check ("version" > 0);`);
    this.addSql(`alter table "notifications" add constraint "notifications_kind_check" check (char_length("kind") >= 1 and char_length("kind") <= 80);`);
    this.addSql(`alter table "notifications" add constraint "notifications_title_check" check (char_length("title") >= 1 and char_length("title") <= 255);`);
    this.addSql(`alter table "notifications" add constraint "notifications_severity_check" check ("severity" in ('debug', 'info', 'warning', 'error', 'critical'));`);

    this.addSql(`alter table "model_prices" add constraint "model_prices_organization_id_foreign" foreign key ("organization_id") references "organizations" ("id") on update no action on delete cascade;`);
    this.addSql(`alter table "model_prices" add constraint "model_prices_origin_device_id_foreign" foreign key ("origin_device_id") references "devices" ("id") on update no action on delete set null;`);
    this.addSql(`alter table "model_prices" add constraint "model_prices_updated_by_user_id_foreign" foreign key ("updated_by_user_id") references "users" ("id") on update no action on delete set null;`);
    this.addSql(`alter table "model_prices" add constraint "model_prices_version_check" check ("version" > 0);`);
    this.addSql(`alter table "model_prices" add constraint "model_prices_provider_check" check (char_length("provider") >= 1 and char_length("provider") <= 60);`);
    this.addSql(`alter table "model_prices" add constraint "model_prices_model_check" check (char_length("model") >= 1 and char_length("model") <= 160);`);
    this.addSql(`alter table "model_prices" add constraint "model_prices_input_cost_per_million_check" check ("input_cost_per_million" >= 0);`);
    this.addSql(`alter table "model_prices" add constraint "model_prices_output_cost_per_million_check" check ("output_cost_per_million" >= 0);`);
    this.addSql(`alter table "model_prices" add constraint "model_prices_cached_input_cost_per_million_check" check ("cached_input_cost_per_million" >= 0);`);
    this.addSql(`alter table "model_prices" add constraint "model_prices_context_limit_check" check ("context_limit" >= 1);`);
    this.addSql(`alter table "model_prices" add constraint "model_prices_currency_check" check (char_length("currency") >= 3 and char_length("currency") <= 3);`);
    this.addSql(`alter table "model_prices" add constraint "model_prices_period_check" check (effective_to is null or effective_to > effective_from);`);

    this.addSql(`alter table "success_criteria" add constraint "success_criteria_organization_id_foreign" foreign key ("organization_id") references "organizations" ("id") on update no action on delete cascade;`);
    this.addSql(`alter table "success_criteria" add constraint "success_criteria_origin_device_id_foreign" foreign key ("origin_device_id") references "devices" ("id") on update no action on delete set null;`);
    this.addSql(`alter table "success_criteria" add constraint "success_criteria_created_by_user_id_foreign" foreign key ("created_by_user_id") references "users" ("id") on update no action on delete set null;`);
    this.addSql(`alter table "success_criteria" add constraint "success_criteria_created_by_agent_id_foreign" foreign key ("created_by_agent_id") references "agents" ("id") on update no action on delete set null;`);
    this.addSql(`alter table "success_criteria" add constraint "success_criteria_project_id_foreign" foreign key ("project_id") references "projects" ("id") on update no action on delete cascade;`);
    this.addSql(`alter table "success_criteria" add constraint "success_criteria_plan_id_foreign" foreign key ("plan_id") references "plans" ("id") on update no action on delete cascade;`);
    this.addSql(`alter table "success_criteria" add constraint "success_criteria_macro_step_id_foreign" foreign key ("macro_step_id") references "macro_steps" ("id") on update no action on delete cascade;`);
    this.addSql(`alter table "success_criteria" add constraint "success_criteria_task_id_foreign" foreign key ("task_id") references "tasks" ("id") on update no action on delete cascade;`);
    this.addSql(`alter table "success_criteria" add constraint "success_criteria_evaluated_by_user_id_foreign" foreign key ("evaluated_by_user_id") references "users" ("id") on update no action on delete set null;`);
    this.addSql(`alter table "success_criteria" add constraint "success_criteria_evaluated_by_agent_id_foreign" foreign key ("evaluated_by_agent_id") references "agents" ("id") on update no action on delete set null;`);
    this.addSql(`alter table "success_criteria" add constraint "success_criteria_version_check" check ("version" > 0);`);
    this.addSql(`alter table "success_criteria" add constraint "success_criteria_author_check" check (num_nonnulls(created_by_user_id, created_by_agent_id) <= 1);`);
    this.addSql(`alter table "success_criteria" add constraint "success_criteria_title_check" check (char_length("title") >= 1 and char_length("title") <= 255);`);
    this.addSql(`alter table "success_criteria" add constraint "success_criteria_weight_check" check ("weight" >= 0 and "weight" <= 1);`);
    this.addSql(`alter table "success_criteria" add constraint "success_criteria_target_check" check (operator = 'manual' or target_value is not null);`);
    this.addSql(`alter table "success_criteria" add constraint "success_criteria_operator_check" check ("operator" in ('manual', 'lt', 'lte', 'eq', 'gte', 'gt'));`);
    this.addSql(`alter table "success_criteria" add constraint "success_criteria_status_check" check ("status" in ('pending', 'met', 'not_met', 'waived'));`);

    this.addSql(`alter table "integrations" add constraint "integrations_organization_id_foreign" foreign key ("organization_id") references "organizations" ("id") on update no action on delete cascade;`);
    this.addSql(`alter table "integrations" add constraint "integrations_origin_device_id_foreign" foreign key ("origin_device_id") references "devices" ("id") on update no action on delete set null;`);
    this.addSql(`alter table "integrations" add constraint "integrations_created_by_user_id_foreign" foreign key ("created_by_user_id") references "users" ("id") on update no action on delete set null;`);
    this.addSql(`alter table "integrations" add constraint "integrations_created_by_agent_id_foreign" foreign key ("created_by_agent_id") references "agents" ("id") on update no action on delete set null;`);
    this.addSql(`alter table "integrations" add constraint "integrations_project_id_foreign" foreign key ("project_id") references "projects" ("id") on update no action on delete cascade;`);
    this.addSql(`alter table "integrations" add constraint "integrations_credential_id_foreign" foreign key ("credential_id") references "credentials" ("id") on update no action on delete set null;`);
    this.addSql(`alter table "integrations" add constraint "integrations_version_check" check ("version" > 0);`);
    this.addSql(`alter table "integrations" add constraint "integrations_author_check" check (num_nonnulls(created_by_user_id, created_by_agent_id) <= 1);`);
    this.addSql(`alter table "integrations" add constraint "integrations_name_check" check (char_length("name") >= 1 and char_length("name") <= 160);`);
    this.addSql(`alter table "integrations" add constraint "integrations_repository_owner_check" check (char_length("repository_owner") >= 1 and char_length("repository_owner") <= 100);`);
    this.addSql(`alter table "integrations" add constraint "integrations_repository_name_check" check (char_length("repository_name") >= 1 and char_length("repository_name") <= 100);`);
    this.addSql(`alter table "integrations" add constraint "integrations_external_team_id_check" check (char_length("external_team_id") >= 1 and char_length("external_team_id") <= 100);`);
    this.addSql(`alter table "integrations" add constraint "integrations_github_check" check (provider <> 'github' or (repository_owner is not null and repository_name is not null) or installation_id is not null);`);
    this.addSql(`alter table "integrations" add constraint "integrations_linear_check" check (provider <> 'linear' or external_team_id is not null);`);
    this.addSql(`alter table "integrations" add constraint "integrations_slack_check" check (provider <> 'slack' or external_workspace_id is not null);`);
    this.addSql(`alter table "integrations" add constraint "integrations_provider_check" check ("provider" in ('github', 'linear', 'slack', 'generic'));`);
    this.addSql(`alter table "integrations" add constraint "integrations_status_check" check ("status" in ('pending', 'active', 'paused', 'error', 'revoked'));`);

    this.addSql(`alter table "webhooks" add constraint "webhooks_organization_id_foreign" foreign key ("organization_id") references "organizations" ("id") on update no action on delete cascade;`);
    this.addSql(`alter table "webhooks" add constraint "webhooks_origin_device_id_foreign" foreign key ("origin_device_id") references "devices" ("id") on update no action on delete set null;`);
    this.addSql(`alter table "webhooks" add constraint "webhooks_created_by_user_id_foreign" foreign key ("created_by_user_id") references "users" ("id") on update no action on delete set null;`);
    this.addSql(`alter table "webhooks" add constraint "webhooks_created_by_agent_id_foreign" foreign key ("created_by_agent_id") references "agents" ("id") on update no action on delete set null;`);
    this.addSql(`alter table "webhooks" add constraint "webhooks_integration_id_foreign" foreign key ("integration_id") references "integrations" ("id") on update no action on delete cascade;`);
    this.addSql(`alter table "webhooks" add constraint "webhooks_secret_credential_id_foreign" foreign key ("secret_credential_id") references "credentials" ("id") on update no action on delete set null;`);
    this.addSql(`alter table "webhooks" add constraint "webhooks_version_check" check ("version" > 0);`);
    this.addSql(`alter table "webhooks" add constraint "webhooks_author_check" check (num_nonnulls(created_by_user_id, created_by_agent_id) <= 1);`);
    this.addSql(`alter table "webhooks" add constraint "webhooks_name_check" check (char_length("name") >= 1 and char_length("name") <= 160);`);
    this.addSql(`alter table "webhooks" add constraint "webhooks_outbound_check" check (direction <> 'outbound' or url is not null);`);
    this.addSql(`alter table "webhooks" add constraint "webhooks_inbound_check" check (direction <> 'inbound' or endpoint_key is not null);`);
    this.addSql(`alter table "webhooks" add constraint "webhooks_direction_check" check ("direction" in ('inbound', 'outbound'));`);

    this.addSql(`alter table "pipelines" add constraint "pipelines_organization_id_foreign" foreign key ("organization_id") references "organizations" ("id") on update no action on delete cascade;`);
    this.addSql(`alter table "pipelines" add constraint "pipelines_origin_device_id_foreign" foreign key ("origin_device_id") references "devices" ("id") on update no action on delete set null;`);
    this.addSql(`alter table "pipelines" add constraint "pipelines_created_by_user_id_foreign" foreign key ("created_by_user_id") references "users" ("id") on update no action on delete set null;`);
    this.addSql(`alter table "pipelines" add constraint "pipelines_created_by_agent_id_foreign" foreign key ("created_by_agent_id") references "agents" ("id") on update no action on delete set null;`);
    this.addSql(`alter table "pipelines" add constraint "pipelines_project_id_foreign" foreign key ("project_id") references "projects" ("id") on update no action on delete cascade;`);
    this.addSql(`alter table "pipelines" add constraint "pipelines_repository_id_foreign" foreign key ("repository_id") references "repositories" ("id") on update no action on delete set null;`);
    this.addSql(`alter table "pipelines" add constraint "pipelines_version_check" check ("version" > 0);`);
    this.addSql(`alter table "pipelines" add constraint "pipelines_author_check" check (num_nonnulls(created_by_user_id, created_by_agent_id) <= 1);`);
    this.addSql(`alter table "pipelines" add constraint "pipelines_name_check" check (char_length("name") >= 1 and char_length("name") <= 200);`);
    this.addSql(`alter table "pipelines" add constraint "pipelines_timeout_seconds_check" check ("timeout_seconds" >= 1);`);
    this.addSql(`alter table "pipelines" add constraint "pipelines_trigger_kind_check" check ("trigger_kind" in ('manual', 'push', 'pull_request', 'schedule', 'event', 'api'));`);

    this.addSql(`alter table "quality_gates" add constraint "quality_gates_organization_id_foreign" foreign key ("organization_id") references "organizations" ("id") on update no action on delete cascade;`);
    this.addSql(`alter table "quality_gates" add constraint "quality_gates_origin_device_id_foreign" foreign key ("origin_device_id") references "devices" ("id") on update no action on delete set null;`);
    this.addSql(`alter table "quality_gates" add constraint "quality_gates_created_by_user_id_foreign" foreign key ("created_by_user_id") references "users" ("id") on update no action on delete set null;`);
    this.addSql(`alter table "quality_gates" add constraint "quality_gates_created_by_agent_id_foreign" foreign key ("created_by_agent_id") references "agents" ("id") on update no action on delete set null;`);
    this.addSql(`alter table "quality_gates" add constraint "quality_gates_project_id_foreign" foreign key ("project_id") references "projects" ("id") on update no action on delete cascade;`);
    this.addSql(`alter table "quality_gates" add constraint "quality_gates_pipeline_id_foreign" foreign key ("pipeline_id") references "pipelines" ("id") on update no action on delete cascade;`);
    this.addSql(`alter table "quality_gates" add constraint "quality_gates_version_check" check ("version" > 0);`);
    this.addSql(`alter table "quality_gates" add constraint "quality_gates_author_check" check (num_nonnulls(created_by_user_id, created_by_agent_id) <= 1);`);
    this.addSql(`alter table "quality_gates" add constraint "quality_gates_name_check" check (char_length("name") >= 1 and char_length("name") <= 200);`);
    this.addSql(`alter table "quality_gates" add constraint "quality_gates_operator_check" check ("operator" in ('lt', 'lte', 'eq', 'gte', 'gt'));`);
    this.addSql(`alter table "quality_gates" add constraint "quality_gates_severity_check" check ("severity" in ('debug', 'info', 'warning', 'error', 'critical'));`);

    this.addSql(`alter table "pipeline_steps" add constraint "pipeline_steps_organization_id_foreign" foreign key ("organization_id") references "organizations" ("id") on update no action on delete cascade;`);
    this.addSql(`alter table "pipeline_steps" add constraint "pipeline_steps_origin_device_id_foreign" foreign key ("origin_device_id") references "devices" ("id") on update no action on delete set null;`);
    this.addSql(`alter table "pipeline_steps" add constraint "pipeline_steps_pipeline_id_foreign" foreign key ("pipeline_id") references "pipelines" ("id") on update no action on delete cascade;`);
    this.addSql(`alter table "pipeline_steps" add constraint "pipeline_steps_agent_id_foreign" foreign key ("agent_id") references "agents" ("id") on update no action on delete set null;`);
    this.addSql(`alter table "pipeline_steps" add constraint "pipeline_steps_version_check" check ("version" > 0);`);
    this.addSql(`alter table "pipeline_steps" add constraint "pipeline_steps_name_check" check (char_length("name") >= 1 and char_length("name") <= 200);`);
    this.addSql(`alter table "pipeline_steps" add constraint "pipeline_steps_retry_limit_check" check ("retry_limit" >= 0);`);
    this.addSql(`alter table "pipeline_steps" add constraint "pipeline_steps_kind_check" check ("kind" in ('command', 'agent', 'test', 'build', 'deploy', 'approval', 'quality_gate', 'notify'));`);

    this.addSql(`alter table "pipeline_executions" add constraint "pipeline_executions_organization_id_foreign" foreign key ("organization_id") references "organizations" ("id") on update no action on delete cascade;`);
    this.addSql(`alter table "pipeline_executions" add constraint "pipeline_executions_origin_device_id_foreign" foreign key ("origin_device_id") references "devices" ("id") on update no action on delete set null;`);
    this.addSql(`alter table "pipeline_executions" add constraint "pipeline_executions_project_id_foreign" foreign key ("project_id") references "projects" ("id") on update no action on delete cascade;`);
    this.addSql(`alter table "pipeline_executions" add constraint "pipeline_executions_pipeline_id_foreign" foreign key ("pipeline_id") references "pipelines" ("id") on update no action on delete cascade;`);
    this.addSql(`alter table "pipeline_executions" add constraint "pipeline_executions_triggered_by_user_id_foreign" foreign key ("triggered_by_user_id") references "users" ("id") on update no action on delete set null;`);
    this.addSql(`alter table "pipeline_executions" add constraint "pipeline_executions_triggered_by_agent_id_foreign" foreign key ("triggered_by_agent_id") references "agents" ("id") on update no action on delete set null;`);
    this.addSql(`alter table "pipeline_executions" add constraint "pipeline_executions_version_check" check ("version" > 0);`);
    this.addSql(`alter table "pipeline_executions" add constraint "pipeline_executions_status_check" check ("status" in ('pending', 'queued', 'running', 'completed', 'failed', 'cancelled', 'timed_out'));`);
    this.addSql(`alter table "pipeline_executions" add constraint "pipeline_executions_gate_status_check" check ("gate_status" in ('none', 'passed', 'failed', 'waived'));`);

    this.addSql(`alter table "quality_gate_results" add constraint "quality_gate_results_organization_id_foreign" foreign key ("organization_id") references "organizations" ("id") on update no action on delete cascade;`);
    this.addSql(`alter table "quality_gate_results" add constraint "quality_gate_results_origin_device_id_foreign" foreign key ("origin_device_id") references "devices" ("id") on update no action on delete set null;`);
    this.addSql(`alter table "quality_gate_results" add constraint "quality_gate_results_project_id_foreign" foreign key ("project_id") references "projects" ("id") on update no action on delete cascade;`);
    this.addSql(`alter table "quality_gate_results" add constraint "quality_gate_results_quality_gate_id_foreign" foreign key ("quality_gate_id") references "quality_gates" ("id") on update no action on delete set null;`);
    this.addSql(`alter table "quality_gate_results" add constraint "quality_gate_results_execution_id_foreign" foreign key ("execution_id") references "pipeline_executions" ("id") on update no action on delete cascade;`);
    this.addSql(`alter table "quality_gate_results" add constraint "quality_gate_results_waived_by_user_id_foreign" foreign key ("waived_by_user_id") references "users" ("id") on update no action on delete set null;`);
    this.addSql(`alter table "quality_gate_results" add constraint "quality_gate_results_version_check" check ("version" > 0);`);

    this.addSql(`alter table "integration_events" add constraint "integration_events_organization_id_foreign" foreign key ("organization_id") references "organizations" ("id") on update no action on delete cascade;`);
    this.addSql(`alter table "integration_events" add constraint "integration_events_integration_id_foreign" foreign key ("integration_id") references "integrations" ("id") on update no action on delete set null;`);
    this.addSql(`alter table "integration_events" add constraint "integration_events_project_id_foreign" foreign key ("project_id") references "projects" ("id") on update no action on delete set null;`);
    this.addSql(`alter table "integration_events" add constraint "integration_events_event_type_check" check (char_length("event_type") >= 1 and char_length("event_type") <= 160);`);
    this.addSql(`alter table "integration_events" add constraint "integration_events_direction_check" check ("direction" in ('inbound', 'outbound'));`);
    this.addSql(`alter table "integration_events" add constraint "integration_events_status_check" check ("status" in ('received', 'processing', 'processed', 'ignored', 'failed', 'dead'));`);

    this.addSql(`alter table "feedback_loops" add constraint "feedback_loops_organization_id_foreign" foreign key ("organization_id") references "organizations" ("id") on update no action on delete cascade;`);
    this.addSql(`alter table "feedback_loops" add constraint "feedback_loops_origin_device_id_foreign" foreign key ("origin_device_id") references "devices" ("id") on update no action on delete set null;`);
    this.addSql(`alter table "feedback_loops" add constraint "feedback_loops_created_by_user_id_foreign" foreign key ("created_by_user_id") references "users" ("id") on update no action on delete set null;`);
    this.addSql(`alter table "feedback_loops" add constraint "feedback_loops_created_by_agent_id_foreign" foreign key ("created_by_agent_id") references "agents" ("id") on update no action on delete set null;`);
    this.addSql(`alter table "feedback_loops" add constraint "feedback_loops_project_id_foreign" foreign key ("project_id") references "projects" ("id") on update no action on delete cascade;`);
    this.addSql(`alter table "feedback_loops" add constraint "feedback_loops_version_check" check ("version" > 0);`);
    this.addSql(`alter table "feedback_loops" add constraint "feedback_loops_author_check" check (num_nonnulls(created_by_user_id, created_by_agent_id) <= 1);`);
    this.addSql(`alter table "feedback_loops" add constraint "feedback_loops_rating_check" check ("rating" >= -1 and "rating" <= 5);`);
    this.addSql(`alter table "feedback_loops" add constraint "feedback_loops_subject_type_check" check ("subject_type" in ('task_run', 'task', 'message', 'prompt', 'pattern', 'memory', 'knowledge_entry', 'cost_estimate', 'agent', 'pipeline_execution'));`);
    this.addSql(`alter table "feedback_loops" add constraint "feedback_loops_source_check" check ("source" in ('user', 'agent', 'test', 'metric', 'review'));`);
    this.addSql(`alter table "feedback_loops" add constraint "feedback_loops_status_check" check ("status" in ('open', 'analysing', 'applied', 'rejected', 'verified'));`);

    this.addSql(`alter table "external_links" add constraint "external_links_organization_id_foreign" foreign key ("organization_id") references "organizations" ("id") on update no action on delete cascade;`);
    this.addSql(`alter table "external_links" add constraint "external_links_origin_device_id_foreign" foreign key ("origin_device_id") references "devices" ("id") on update no action on delete set null;`);
    this.addSql(`alter table "external_links" add constraint "external_links_integration_id_foreign" foreign key ("integration_id") references "integrations" ("id") on update no action on delete cascade;`);
    this.addSql(`alter table "external_links" add constraint "external_links_version_check" check ("version" > 0);`);
    this.addSql(`alter table "external_links" add constraint "external_links_external_type_check" check (char_length("external_type") >= 1 and char_length("external_type") <= 60);`);
    this.addSql(`alter table "external_links" add constraint "external_links_external_id_check" check (char_length("external_id") >= 1 and char_length("external_id") <= 255);`);
    this.addSql(`alter table "external_links" add constraint "external_links_local_type_check" check ("local_type" in ('task', 'plan', 'project', 'repository', 'conversation', 'message', 'document', 'pipeline_execution', 'user'));`);
    this.addSql(`alter table "external_links" add constraint "external_links_sync_direction_check" check ("sync_direction" in ('pull', 'push', 'both'));`);

    this.addSql(`alter table "event_subscriptions" add constraint "event_subscriptions_organization_id_foreign" foreign key ("organization_id") references "organizations" ("id") on update no action on delete cascade;`);
    this.addSql(`alter table "event_subscriptions" add constraint "event_subscriptions_origin_device_id_foreign" foreign key ("origin_device_id") references "devices" ("id") on update no action on delete set null;`);
    this.addSql(`alter table "event_subscriptions" add constraint "event_subscriptions_agent_id_foreign" foreign key ("agent_id") references "agents" ("id") on update no action on delete cascade;`);
    this.addSql(`alter table "event_subscriptions" add constraint "event_subscriptions_user_id_foreign" foreign key ("user_id") references "users" ("id") on update no action on delete cascade;`);
    this.addSql(`alter table "event_subscriptions" add constraint "event_subscriptions_device_id_foreign" foreign key ("device_id") references "devices" ("id") on update no action on delete cascade;`);
    this.addSql(`alter table "event_subscriptions" add constraint "event_subscriptions_integration_id_foreign" foreign key ("integration_id") references "integrations" ("id") on update no action on delete cascade;`);
    this.addSql(`alter table "event_subscriptions" add constraint "event_subscriptions_webhook_id_foreign" foreign key ("webhook_id") references "webhooks" ("id") on update no action on delete set null;`);
    this.addSql(`alter table "event_subscriptions" add constraint "event_subscriptions_version_check" check ("version" > 0);`);
    this.addSql(`alter table "event_subscriptions" add constraint "event_subscriptions_name_check" check (char_length("name") >= 1 and char_length("name") <= 160);`);
    this.addSql(`alter table "event_subscriptions" add constraint "event_subscriptions_subscriber_check" check (num_nonnulls(agent_id, user_id, device_id, integration_id) = 1);`);
    this.addSql(`alter table "event_subscriptions" add constraint "event_subscriptions_delivery_check" check ("delivery" in ('websocket', 'webhook', 'pull'));`);
    this.addSql(`alter table "event_subscriptions" add constraint "event_subscriptions_status_check" check ("status" in ('active', 'paused', 'failed'));`);

    this.addSql(`alter table "event_replays" add constraint "event_replays_organization_id_foreign" foreign key ("organization_id") references "organizations" ("id") on update no action on delete cascade;`);
    this.addSql(`alter table "event_replays" add constraint "event_replays_subscription_id_foreign" foreign key ("subscription_id") references "event_subscriptions" ("id") on update no action on delete cascade;`);
    this.addSql(`alter table "event_replays" add constraint "event_replays_requested_by_user_id_foreign" foreign key ("requested_by_user_id") references "users" ("id") on update no action on delete set null;`);
    this.addSql(`alter table "event_replays" add constraint "event_replays_requested_by_agent_id_foreign" foreign key ("requested_by_agent_id") references "agents" ("id") on update no action on delete set null;`);
    this.addSql(`alter table "event_replays" add constraint "event_replays_start_check" check (num_nonnulls(from_seq, from_time) >= 1);`);
    this.addSql(`alter table "event_replays" add constraint "event_replays_reason_check" check ("reason" in ('recovery', 'debugging', 'backfill'));`);
    this.addSql(`alter table "event_replays" add constraint "event_replays_status_check" check ("status" in ('pending', 'queued', 'running', 'completed', 'failed', 'cancelled', 'timed_out'));`);

    this.addSql(`alter table "enum_values" add constraint "enum_values_organization_id_foreign" foreign key ("organization_id") references "organizations" ("id") on update no action on delete cascade;`);
    this.addSql(`alter table "enum_values" add constraint "enum_values_origin_device_id_foreign" foreign key ("origin_device_id") references "devices" ("id") on update no action on delete set null;`);
    this.addSql(`alter table "enum_values" add constraint "enum_values_version_check" check ("version" > 0);`);

    this.addSql(`alter table "document_templates" add constraint "document_templates_organization_id_foreign" foreign key ("organization_id") references "organizations" ("id") on update no action on delete cascade;`);
    this.addSql(`alter table "document_templates" add constraint "document_templates_origin_device_id_foreign" foreign key ("origin_device_id") references "devices" ("id") on update no action on delete set null;`);
    this.addSql(`alter table "document_templates" add constraint "document_templates_created_by_user_id_foreign" foreign key ("created_by_user_id") references "users" ("id") on update no action on delete set null;`);
    this.addSql(`alter table "document_templates" add constraint "document_templates_created_by_agent_id_foreign" foreign key ("created_by_agent_id") references "agents" ("id") on update no action on delete set null;`);
    this.addSql(`alter table "document_templates" add constraint "document_templates_version_check" check ("version" > 0);`);
    this.addSql(`alter table "document_templates" add constraint "document_templates_author_check" check (num_nonnulls(created_by_user_id, created_by_agent_id) <= 1);`);
    this.addSql(`alter table "document_templates" add constraint "document_templates_key_check" check ("key" ~ '^[a-z][a-z0-9_-]{1,62}\$');`);
    this.addSql(`alter table "document_templates" add constraint "document_templates_name_check" check (char_length("name") >= 1 and char_length("name") <= 200);`);
    this.addSql(`alter table "document_templates" add constraint "document_templates_format_check" check ("format" in ('markdown', 'html', 'plain', 'json'));`);

    this.addSql(`alter table "documents" add constraint "documents_organization_id_foreign" foreign key ("organization_id") references "organizations" ("id") on update no action on delete cascade;`);
    this.addSql(`alter table "documents" add constraint "documents_origin_device_id_foreign" foreign key ("origin_device_id") references "devices" ("id") on update no action on delete set null;`);
    this.addSql(`alter table "documents" add constraint "documents_created_by_user_id_foreign" foreign key ("created_by_user_id") references "users" ("id") on update no action on delete set null;`);
    this.addSql(`alter table "documents" add constraint "documents_created_by_agent_id_foreign" foreign key ("created_by_agent_id") references "agents" ("id") on update no action on delete set null;`);
    this.addSql(`alter table "documents" add constraint "documents_project_id_foreign" foreign key ("project_id") references "projects" ("id") on update no action on delete cascade;`);
    this.addSql(`alter table "documents" add constraint "documents_team_id_foreign" foreign key ("team_id") references "teams" ("id") on update no action on delete cascade;`);
    this.addSql(`alter table "documents" add constraint "documents_user_id_foreign" foreign key ("user_id") references "users" ("id") on update no action on delete cascade;`);
    this.addSql(`alter table "documents" add constraint "documents_agent_id_foreign" foreign key ("agent_id") references "agents" ("id") on update no action on delete cascade;`);
    this.addSql(`alter table "documents" add constraint "documents_document_template_id_foreign" foreign key ("document_template_id") references "document_templates" ("id") on update no action on delete set null;`);
    this.addSql(`alter table "documents" add constraint "documents_macro_step_id_foreign" foreign key ("macro_step_id") references "macro_steps" ("id") on update no action on delete set null;`);
    this.addSql(`alter table "documents" add constraint "documents_task_id_foreign" foreign key ("task_id") references "tasks" ("id") on update no action on delete set null;`);
    this.addSql(`alter table "documents" add constraint "documents_head_version_id_foreign" foreign key ("head_version_id") references "document_versions" ("id") on update no action on delete set null;`);
    this.addSql(`alter table "documents" add constraint "documents_version_check" check ("version" > 0);`);
    this.addSql(`alter table "documents" add constraint "documents_author_check" check (num_nonnulls(created_by_user_id, created_by_agent_id) <= 1);`);
    this.addSql(`alter table "documents" add constraint "documents_scope_id_check" check (scope = 'organization' or (scope = 'project' and project_id is not null) or (scope = 'team' and team_id is not null) or (scope = 'user' and user_id is not null) or (scope = 'agent' and agent_id is not null));`);
    this.addSql(`alter table "documents" add constraint "documents_title_check" check (char_length("title") >= 1 and char_length("title") <= 255);`);
    this.addSql(`alter table "documents" add constraint "documents_path_check" check (char_length("path") >= 1 and char_length("path") <= 500);`);
    this.addSql(`alter table "documents" add constraint "documents_scope_check" check ("scope" in ('organization', 'project', 'team', 'user', 'agent'));`);
    this.addSql(`alter table "documents" add constraint "documents_kind_check" check ("kind" in ('readme', 'prd', 'architecture', 'adr', 'spec', 'guide', 'api', 'report', 'note', 'other'));`);
    this.addSql(`alter table "documents" add constraint "documents_format_check" check ("format" in ('markdown', 'html', 'plain', 'json'));`);
    this.addSql(`alter table "documents" add constraint "documents_status_check" check ("status" in ('draft', 'in_review', 'published', 'archived'));`);

    this.addSql(`alter table "knowledge_entries" add constraint "knowledge_entries_organization_id_foreign" foreign key ("organization_id") references "organizations" ("id") on update no action on delete cascade;`);
    this.addSql(`alter table "knowledge_entries" add constraint "knowledge_entries_origin_device_id_foreign" foreign key ("origin_device_id") references "devices" ("id") on update no action on delete set null;`);
    this.addSql(`alter table "knowledge_entries" add constraint "knowledge_entries_created_by_user_id_foreign" foreign key ("created_by_user_id") references "users" ("id") on update no action on delete set null;`);
    this.addSql(`alter table "knowledge_entries" add constraint "knowledge_entries_created_by_agent_id_foreign" foreign key ("created_by_agent_id") references "agents" ("id") on update no action on delete set null;`);
    this.addSql(`alter table "knowledge_entries" add constraint "knowledge_entries_project_id_foreign" foreign key ("project_id") references "projects" ("id") on update no action on delete cascade;`);
    this.addSql(`alter table "knowledge_entries" add constraint "knowledge_entries_team_id_foreign" foreign key ("team_id") references "teams" ("id") on update no action on delete cascade;`);
    this.addSql(`alter table "knowledge_entries" add constraint "knowledge_entries_user_id_foreign" foreign key ("user_id") references "users" ("id") on update no action on delete cascade;`);
    this.addSql(`alter table "knowledge_entries" add constraint "knowledge_entries_agent_id_foreign" foreign key ("agent_id") references "agents" ("id") on update no action on delete cascade;`);
    this.addSql(`alter table "knowledge_entries" add constraint "knowledge_entries_task_id_foreign" foreign key ("task_id") references "tasks" ("id") on update no action on delete set null;`);
    this.addSql(`alter table "knowledge_entries" add constraint "knowledge_entries_document_id_foreign" foreign key ("document_id") references "documents" ("id") on update no action on delete set null;`);
    this.addSql(`alter table "knowledge_entries" add constraint "knowledge_entries_previous_version_id_foreign" foreign key ("previous_version_id") references "knowledge_entries" ("id") on update no action on delete set null;`);
    this.addSql(`alter table "knowledge_entries" add constraint "knowledge_entries_version_check" check ("version" > 0);`);
    this.addSql(`alter table "knowledge_entries" add constraint "knowledge_entries_author_check" check (num_nonnulls(created_by_user_id, created_by_agent_id) <= 1);`);
    this.addSql(`alter table "knowledge_entries" add constraint "knowledge_entries_scope_id_check" check (scope = 'organization' or (scope = 'project' and project_id is not null) or (scope = 'team' and team_id is not null) or (scope = 'user' and user_id is not null) or (scope = 'agent' and agent_id is not null));`);
    this.addSql(`alter table "knowledge_entries" add constraint "knowledge_entries_title_check" check (char_length("title") >= 1 and char_length("title") <= 255);`);
    this.addSql(`alter table "knowledge_entries" add constraint "knowledge_entries_chunk_index_check" check ("chunk_index" >= 0);`);
    this.addSql(`alter table "knowledge_entries" add constraint "knowledge_entries_revision_check" check ("revision" >= 1);`);
    this.addSql(`alter table "knowledge_entries" add constraint "knowledge_entries_confidence_score_check" check ("confidence_score" >= 0 and "confidence_score" <= 1);`);
    this.addSql(`alter table "knowledge_entries" add constraint "knowledge_entries_quality_score_check" check ("quality_score" >= 0 and "quality_score" <= 1);`);
    this.addSql(`alter table "knowledge_entries" add constraint "knowledge_entries_scope_check" check ("scope" in ('organization', 'project', 'team', 'user', 'agent'));`);
    this.addSql(`alter table "knowledge_entries" add constraint "knowledge_entries_entry_type_check" check ("entry_type" in ('code_snippet', 'adr', 'documentation', 'pattern', 'task_template', 'failure', 'solution', 'lesson', 'reference'));`);
    this.addSql(`alter table "knowledge_entries" add constraint "knowledge_entries_source_check" check ("source" in ('manual', 'checkpoint', 'agent_learning', 'agent', 'document', 'import', 'integration'));`);
    this.addSql(`alter table "knowledge_entries" add constraint "knowledge_entries_embedding_status_check" check ("embedding_status" in ('pending', 'ready', 'failed', 'skipped'));`);

    this.addSql(`alter table "patterns" add constraint "patterns_organization_id_foreign" foreign key ("organization_id") references "organizations" ("id") on update no action on delete cascade;`);
    this.addSql(`alter table "patterns" add constraint "patterns_origin_device_id_foreign" foreign key ("origin_device_id") references "devices" ("id") on update no action on delete set null;`);
    this.addSql(`alter table "patterns" add constraint "patterns_created_by_user_id_foreign" foreign key ("created_by_user_id") references "users" ("id") on update no action on delete set null;`);
    this.addSql(`alter table "patterns" add constraint "patterns_created_by_agent_id_foreign" foreign key ("created_by_agent_id") references "agents" ("id") on update no action on delete set null;`);
    this.addSql(`alter table "patterns" add constraint "patterns_project_id_foreign" foreign key ("project_id") references "projects" ("id") on update no action on delete cascade;`);
    this.addSql(`alter table "patterns" add constraint "patterns_knowledge_entry_id_foreign" foreign key ("knowledge_entry_id") references "knowledge_entries" ("id") on update no action on delete set null;`);
    this.addSql(`alter table "patterns" add constraint "patterns_version_check" check ("version" > 0);`);
    this.addSql(`alter table "patterns" add constraint "patterns_author_check" check (num_nonnulls(created_by_user_id, created_by_agent_id) <= 1);`);
    this.addSql(`alter table "patterns" add constraint "patterns_name_check" check (char_length("name") >= 1 and char_length("name") <= 200);`);
    this.addSql(`alter table "patterns" add constraint "patterns_confidence_check" check ("confidence" >= 0 and "confidence" <= 1);`);
    this.addSql(`alter table "patterns" add constraint "patterns_kind_check" check ("kind" in ('architecture', 'code', 'workflow', 'failure', 'cost', 'performance', 'collaboration', 'learning'));`);
    this.addSql(`alter table "patterns" add constraint "patterns_status_check" check ("status" in ('candidate', 'validated', 'deprecated'));`);

    this.addSql(`alter table "knowledge_grants" add constraint "knowledge_grants_organization_id_foreign" foreign key ("organization_id") references "organizations" ("id") on update no action on delete cascade;`);
    this.addSql(`alter table "knowledge_grants" add constraint "knowledge_grants_origin_device_id_foreign" foreign key ("origin_device_id") references "devices" ("id") on update no action on delete set null;`);
    this.addSql(`alter table "knowledge_grants" add constraint "knowledge_grants_knowledge_entry_id_foreign" foreign key ("knowledge_entry_id") references "knowledge_entries" ("id") on update no action on delete cascade;`);
    this.addSql(`alter table "knowledge_grants" add constraint "knowledge_grants_user_id_foreign" foreign key ("user_id") references "users" ("id") on update no action on delete cascade;`);
    this.addSql(`alter table "knowledge_grants" add constraint "knowledge_grants_agent_id_foreign" foreign key ("agent_id") references "agents" ("id") on update no action on delete cascade;`);
    this.addSql(`alter table "knowledge_grants" add constraint "knowledge_grants_team_id_foreign" foreign key ("team_id") references "teams" ("id") on update no action on delete cascade;`);
    this.addSql(`alter table "knowledge_grants" add constraint "knowledge_grants_version_check" check ("version" > 0);`);
    this.addSql(`alter table "knowledge_grants" add constraint "knowledge_grants_principal_check" check (num_nonnulls(user_id, agent_id, team_id) = 1);`);

    this.addSql(`alter table "document_versions" add constraint "document_versions_organization_id_foreign" foreign key ("organization_id") references "organizations" ("id") on update no action on delete cascade;`);
    this.addSql(`alter table "document_versions" add constraint "document_versions_origin_device_id_foreign" foreign key ("origin_device_id") references "devices" ("id") on update no action on delete set null;`);
    this.addSql(`alter table "document_versions" add constraint "document_versions_created_by_user_id_foreign" foreign key ("created_by_user_id") references "users" ("id") on update no action on delete set null;`);
    this.addSql(`alter table "document_versions" add constraint "document_versions_created_by_agent_id_foreign" foreign key ("created_by_agent_id") references "agents" ("id") on update no action on delete set null;`);
    this.addSql(`alter table "document_versions" add constraint "document_versions_document_id_foreign" foreign key ("document_id") references "documents" ("id") on update no action on delete cascade;`);
    this.addSql(`alter table "document_versions" add constraint "document_versions_parent_version_id_foreign" foreign key ("parent_version_id") references "document_versions" ("id") on update no action on delete set null;`);
    this.addSql(`alter table "document_versions" add constraint "document_versions_merged_version_id_foreign" foreign key ("merged_version_id") references "document_versions" ("id") on update no action on delete set null;`);
    this.addSql(`alter table "document_versions" add constraint "document_versions_version_check" check ("version" > 0);`);
    this.addSql(`alter table "document_versions" add constraint "document_versions_author_check" check (num_nonnulls(created_by_user_id, created_by_agent_id) <= 1);`);

    this.addSql(`alter table "document_links" add constraint "document_links_organization_id_foreign" foreign key ("organization_id") references "organizations" ("id") on update no action on delete cascade;`);
    this.addSql(`alter table "document_links" add constraint "document_links_origin_device_id_foreign" foreign key ("origin_device_id") references "devices" ("id") on update no action on delete set null;`);
    this.addSql(`alter table "document_links" add constraint "document_links_created_by_user_id_foreign" foreign key ("created_by_user_id") references "users" ("id") on update no action on delete set null;`);
    this.addSql(`alter table "document_links" add constraint "document_links_created_by_agent_id_foreign" foreign key ("created_by_agent_id") references "agents" ("id") on update no action on delete set null;`);
    this.addSql(`alter table "document_links" add constraint "document_links_document_id_foreign" foreign key ("document_id") references "documents" ("id") on update no action on delete cascade;`);
    this.addSql(`alter table "document_links" add constraint "document_links_target_document_id_foreign" foreign key ("target_document_id") references "documents" ("id") on update no action on delete cascade;`);
    this.addSql(`alter table "document_links" add constraint "document_links_version_check" check ("version" > 0);`);
    this.addSql(`alter table "document_links" add constraint "document_links_author_check" check (num_nonnulls(created_by_user_id, created_by_agent_id) <= 1);`);
    this.addSql(`alter table "document_links" add constraint "document_links_target_check" check (case target_type when 'document' then target_document_id is not null when 'url' then target_url is not null else target_id is not null end);`);
    this.addSql(`alter table "document_links" add constraint "document_links_other_document_check" check (target_document_id is null or target_document_id <> document_id);`);
    this.addSql(`alter table "document_links" add constraint "document_links_target_type_check" check ("target_type" in ('document', 'task', 'plan', 'macro_step', 'knowledge_entry', 'memory', 'repository', 'conversation', 'url'));`);
    this.addSql(`alter table "document_links" add constraint "document_links_link_kind_check" check ("link_kind" in ('references', 'depends_on', 'implements', 'supersedes', 'derived_from', 'related', 'parent'));`);

    this.addSql(`alter table "cost_models" add constraint "cost_models_organization_id_foreign" foreign key ("organization_id") references "organizations" ("id") on update no action on delete cascade;`);
    this.addSql(`alter table "cost_models" add constraint "cost_models_origin_device_id_foreign" foreign key ("origin_device_id") references "devices" ("id") on update no action on delete set null;`);
    this.addSql(`alter table "cost_models" add constraint "cost_models_created_by_user_id_foreign" foreign key ("created_by_user_id") references "users" ("id") on update no action on delete set null;`);
    this.addSql(`alter table "cost_models" add constraint "cost_models_created_by_agent_id_foreign" foreign key ("created_by_agent_id") references "agents" ("id") on update no action on delete set null;`);
    this.addSql(`alter table "cost_models" add constraint "cost_models_version_check" check ("version" > 0);`);
    this.addSql(`alter table "cost_models" add constraint "cost_models_author_check" check (num_nonnulls(created_by_user_id, created_by_agent_id) <= 1);`);
    this.addSql(`alter table "cost_models" add constraint "cost_models_name_check" check (char_length("name") >= 1 and char_length("name") <= 160);`);
    this.addSql(`alter table "cost_models" add constraint "cost_models_kind_check" check ("kind" in ('average', 'linear', 'heuristic', 'llm', 'external'));`);
    this.addSql(`alter table "cost_models" add constraint "cost_models_target_check" check ("target" in ('tokens', 'cost', 'hours'));`);

    this.addSql(`alter table "cost_estimates" add constraint "cost_estimates_organization_id_foreign" foreign key ("organization_id") references "organizations" ("id") on update no action on delete cascade;`);
    this.addSql(`alter table "cost_estimates" add constraint "cost_estimates_origin_device_id_foreign" foreign key ("origin_device_id") references "devices" ("id") on update no action on delete set null;`);
    this.addSql(`alter table "cost_estimates" add constraint "cost_estimates_created_by_user_id_foreign" foreign key ("created_by_user_id") references "users" ("id") on update no action on delete set null;`);
    this.addSql(`alter table "cost_estimates" add constraint "cost_estimates_created_by_agent_id_foreign" foreign key ("created_by_agent_id") references "agents" ("id") on update no action on delete set null;`);
    this.addSql(`alter table "cost_estimates" add constraint "cost_estimates_project_id_foreign" foreign key ("project_id") references "projects" ("id") on update no action on delete cascade;`);
    this.addSql(`alter table "cost_estimates" add constraint "cost_estimates_plan_id_foreign" foreign key ("plan_id") references "plans" ("id") on update no action on delete cascade;`);
    this.addSql(`alter table "cost_estimates" add constraint "cost_estimates_phase_id_foreign" foreign key ("phase_id") references "phases" ("id") on update no action on delete cascade;`);
    this.addSql(`alter table "cost_estimates" add constraint "cost_estimates_macro_step_id_foreign" foreign key ("macro_step_id") references "macro_steps" ("id") on update no action on delete cascade;`);
    this.addSql(`alter table "cost_estimates" add constraint "cost_estimates_task_id_foreign" foreign key ("task_id") references "tasks" ("id") on update no action on delete cascade;`);
    this.addSql(`alter table "cost_estimates" add constraint "cost_estimates_cost_model_id_foreign" foreign key ("cost_model_id") references "cost_models" ("id") on update no action on delete set null;`);
    this.addSql(`alter table "cost_estimates" add constraint "cost_estimates_version_check" check ("version" > 0);`);
    this.addSql(`alter table "cost_estimates" add constraint "cost_estimates_author_check" check (num_nonnulls(created_by_user_id, created_by_agent_id) <= 1);`);
    this.addSql(`alter table "cost_estimates" add constraint "cost_estimates_estimated_input_tokens_check" check ("estimated_input_tokens" >= 0);`);
    this.addSql(`alter table "cost_estimates" add constraint "cost_estimates_estimated_output_tokens_check" check ("estimated_output_tokens" >= 0);`);
    this.addSql(`alter table "cost_estimates" add constraint "cost_estimates_cost_low_check" check ("cost_low" >= 0);`);
    this.addSql(`alter table "cost_estimates" add constraint "cost_estimates_cost_expected_check" check ("cost_expected" >= 0);`);
    this.addSql(`alter table "cost_estimates" add constraint "cost_estimates_confidence_check" check ("confidence" >= 0 and "confidence" <= 1);`);
    this.addSql(`alter table "cost_estimates" add constraint "cost_estimates_subject_check" check (num_nonnulls(plan_id, phase_id, macro_step_id, task_id) <= 1);`);
    this.addSql(`alter table "cost_estimates" add constraint "cost_estimates_range_check" check (cost_high is null or cost_low is null or cost_high >= cost_low);`);
    this.addSql(`alter table "cost_estimates" add constraint "cost_estimates_status_check" check ("status" in ('draft', 'approved', 'superseded', 'closed'));`);

    this.addSql(`alter table "complexity_metrics" add constraint "complexity_metrics_organization_id_foreign" foreign key ("organization_id") references "organizations" ("id") on update no action on delete cascade;`);
    this.addSql(`alter table "complexity_metrics" add constraint "complexity_metrics_origin_device_id_foreign" foreign key ("origin_device_id") references "devices" ("id") on update no action on delete set null;`);
    this.addSql(`alter table "complexity_metrics" add constraint "complexity_metrics_created_by_user_id_foreign" foreign key ("created_by_user_id") references "users" ("id") on update no action on delete set null;`);
    this.addSql(`alter table "complexity_metrics" add constraint "complexity_metrics_created_by_agent_id_foreign" foreign key ("created_by_agent_id") references "agents" ("id") on update no action on delete set null;`);
    this.addSql(`alter table "complexity_metrics" add constraint "complexity_metrics_project_id_foreign" foreign key ("project_id") references "projects" ("id") on update no action on delete cascade;`);
    this.addSql(`alter table "complexity_metrics" add constraint "complexity_metrics_task_id_foreign" foreign key ("task_id") references "tasks" ("id") on update no action on delete set null;`);
    this.addSql(`alter table "complexity_metrics" add constraint "complexity_metrics_macro_step_id_foreign" foreign key ("macro_step_id") references "macro_steps" ("id") on update no action on delete set null;`);
    this.addSql(`alter table "complexity_metrics" add constraint "complexity_metrics_repository_id_foreign" foreign key ("repository_id") references "repositories" ("id") on update no action on delete set null;`);
    this.addSql(`alter table "complexity_metrics" add constraint "complexity_metrics_version_check" check ("version" > 0);`);
    this.addSql(`alter table "complexity_metrics" add constraint "complexity_metrics_author_check" check (num_nonnulls(created_by_user_id, created_by_agent_id) <= 1);`);
    this.addSql(`alter table "complexity_metrics" add constraint "complexity_metrics_novelty_check" check ("novelty" >= 0 and "novelty" <= 1);`);
    this.addSql(`alter table "complexity_metrics" add constraint "complexity_metrics_ambiguity_check" check ("ambiguity" >= 0 and "ambiguity" <= 1);`);
    this.addSql(`alter table "complexity_metrics" add constraint "complexity_metrics_complexity_score_check" check ("complexity_score" >= 0 and "complexity_score" <= 100);`);
    this.addSql(`alter table "complexity_metrics" add constraint "complexity_metrics_estimated_tokens_check" check ("estimated_tokens" >= 0);`);
    this.addSql(`alter table "complexity_metrics" add constraint "complexity_metrics_actual_tokens_check" check ("actual_tokens" >= 0);`);

    this.addSql(`alter table "agent_permissions" add constraint "agent_permissions_organization_id_foreign" foreign key ("organization_id") references "organizations" ("id") on update no action on delete cascade;`);
    this.addSql(`alter table "agent_permissions" add constraint "agent_permissions_origin_device_id_foreign" foreign key ("origin_device_id") references "devices" ("id") on update no action on delete set null;`);
    this.addSql(`alter table "agent_permissions" add constraint "agent_permissions_agent_id_foreign" foreign key ("agent_id") references "agents" ("id") on update no action on delete cascade;`);
    this.addSql(`alter table "agent_permissions" add constraint "agent_permissions_version_check" check ("version" > 0);`);
    this.addSql(`alter table "agent_permissions" add constraint "agent_permissions_tool_name_check" check (char_length("tool_name") >= 1 and char_length("tool_name") <= 100);`);

    this.addSql(`alter table "pipeline_step_executions" add constraint "pipeline_step_executions_organization_id_foreign" foreign key ("organization_id") references "organizations" ("id") on update no action on delete cascade;`);
    this.addSql(`alter table "pipeline_step_executions" add constraint "pipeline_step_executions_origin_device_id_foreign" foreign key ("origin_device_id") references "devices" ("id") on update no action on delete set null;`);
    this.addSql(`alter table "pipeline_step_executions" add constraint "pipeline_step_executions_project_id_foreign" foreign key ("project_id") references "projects" ("id") on update no action on delete cascade;`);
    this.addSql(`alter table "pipeline_step_executions" add constraint "pipeline_step_executions_execution_id_foreign" foreign key ("execution_id") references "pipeline_executions" ("id") on update no action on delete cascade;`);
    this.addSql(`alter table "pipeline_step_executions" add constraint "pipeline_step_executions_step_id_foreign" foreign key ("step_id") references "pipeline_steps" ("id") on update no action on delete set null;`);
    this.addSql(`alter table "pipeline_step_executions" add constraint "pipeline_step_executions_agent_id_foreign" foreign key ("agent_id") references "agents" ("id") on update no action on delete set null;`);
    this.addSql(`alter table "pipeline_step_executions" add constraint "pipeline_step_executions_task_run_id_foreign" foreign key ("task_run_id") references "task_runs" ("id") on update no action on delete set null;`);
    this.addSql(`alter table "pipeline_step_executions" add constraint "pipeline_step_executions_version_check" check ("version" > 0);`);
    this.addSql(`alter table "pipeline_step_executions" add constraint "pipeline_step_executions_log_tail_check" check (char_length("log_tail") >= 0 and char_length("log_tail") <= 65536);`);
    this.addSql(`alter table "pipeline_step_executions" add constraint "pipeline_step_executions_status_check" check ("status" in ('pending', 'queued', 'running', 'completed', 'failed', 'cancelled', 'timed_out'));`);

    this.addSql(`alter table "pipeline_artifacts" add constraint "pipeline_artifacts_organization_id_foreign" foreign key ("organization_id") references "organizations" ("id") on update no action on delete cascade;`);
    this.addSql(`alter table "pipeline_artifacts" add constraint "pipeline_artifacts_origin_device_id_foreign" foreign key ("origin_device_id") references "devices" ("id") on update no action on delete set null;`);
    this.addSql(`alter table "pipeline_artifacts" add constraint "pipeline_artifacts_project_id_foreign" foreign key ("project_id") references "projects" ("id") on update no action on delete cascade;`);
    this.addSql(`alter table "pipeline_artifacts" add constraint "pipeline_artifacts_execution_id_foreign" foreign key ("execution_id") references "pipeline_executions" ("id") on update no action on delete cascade;`);
    this.addSql(`alter table "pipeline_artifacts" add constraint "pipeline_artifacts_step_execution_id_foreign" foreign key ("step_execution_id") references "pipeline_step_executions" ("id") on update no action on delete set null;`);
    this.addSql(`alter table "pipeline_artifacts" add constraint "pipeline_artifacts_version_check" check ("version" > 0);`);
    this.addSql(`alter table "pipeline_artifacts" add constraint "pipeline_artifacts_name_check" check (char_length("name") >= 1 and char_length("name") <= 255);`);
    this.addSql(`alter table "pipeline_artifacts" add constraint "pipeline_artifacts_size_bytes_check" check ("size_bytes" >= 0);`);
    this.addSql(`alter table "pipeline_artifacts" add constraint "pipeline_artifacts_sha256_check" check (octet_length("sha256") = 32);`);
    this.addSql(`alter table "pipeline_artifacts" add constraint "pipeline_artifacts_kind_check" check ("kind" in ('file', 'report', 'coverage', 'image', 'package', 'log'));`);

    this.addSql(`alter table "token_usages" add constraint "token_usages_organization_id_foreign" foreign key ("organization_id") references "organizations" ("id") on update no action on delete cascade;`);
    this.addSql(`alter table "token_usages" add constraint "token_usages_project_id_foreign" foreign key ("project_id") references "projects" ("id") on update no action on delete set null;`);
    this.addSql(`alter table "token_usages" add constraint "token_usages_task_id_foreign" foreign key ("task_id") references "tasks" ("id") on update no action on delete set null;`);
    this.addSql(`alter table "token_usages" add constraint "token_usages_task_run_id_foreign" foreign key ("task_run_id") references "task_runs" ("id") on update no action on delete set null;`);
    this.addSql(`alter table "token_usages" add constraint "token_usages_macro_step_id_foreign" foreign key ("macro_step_id") references "macro_steps" ("id") on update no action on delete set null;`);
    this.addSql(`alter table "token_usages" add constraint "token_usages_agent_id_foreign" foreign key ("agent_id") references "agents" ("id") on update no action on delete set null;`);
    this.addSql(`alter table "token_usages" add constraint "token_usages_user_id_foreign" foreign key ("user_id") references "users" ("id") on update no action on delete set null;`);
    this.addSql(`alter table "token_usages" add constraint "token_usages_conversation_id_foreign" foreign key ("conversation_id") references "conversations" ("id") on update no action on delete set null;`);
    this.addSql(`alter table "token_usages" add constraint "token_usages_credential_id_foreign" foreign key ("credential_id") references "credentials" ("id") on update no action on delete set null;`);
    this.addSql(`alter table "token_usages" add constraint "token_usages_model_price_id_foreign" foreign key ("model_price_id") references "model_prices" ("id") on update no action on delete set null;`);
    this.addSql(`alter table "token_usages" add constraint "token_usages_model_check" check (char_length("model") >= 1 and char_length("model") <= 160);`);
    this.addSql(`alter table "token_usages" add constraint "token_usages_input_tokens_check" check ("input_tokens" >= 0);`);
    this.addSql(`alter table "token_usages" add constraint "token_usages_output_tokens_check" check ("output_tokens" >= 0);`);
    this.addSql(`alter table "token_usages" add constraint "token_usages_cached_input_tokens_check" check ("cached_input_tokens" >= 0);`);
    this.addSql(`alter table "token_usages" add constraint "token_usages_reasoning_tokens_check" check ("reasoning_tokens" >= 0);`);
    this.addSql(`alter table "token_usages" add constraint "token_usages_cost_usd_check" check ("cost_usd" >= 0);`);
  }

  override down(): void | Promise<void> {
    this.addSql(`alter table "backup_runs" drop constraint "backup_runs_tested_backup_id_foreign";`);
    this.addSql(`alter table "prompts" drop constraint "prompts_parent_prompt_id_foreign";`);
    this.addSql(`alter table "prompt_test_results" drop constraint "prompt_test_results_prompt_id_foreign";`);
    this.addSql(`alter table "task_runs" drop constraint "task_runs_prompt_id_foreign";`);
    this.addSql(`alter table "conversations" drop constraint "conversations_prompt_id_foreign";`);
    this.addSql(`alter table "billing_records" drop constraint "billing_records_reverses_id_foreign";`);
    this.addSql(`alter table "token_usages" drop constraint "token_usages_model_price_id_foreign";`);
    this.addSql(`alter table "webhooks" drop constraint "webhooks_integration_id_foreign";`);
    this.addSql(`alter table "repositories" drop constraint "repositories_integration_id_foreign";`);
    this.addSql(`alter table "integration_events" drop constraint "integration_events_integration_id_foreign";`);
    this.addSql(`alter table "external_links" drop constraint "external_links_integration_id_foreign";`);
    this.addSql(`alter table "event_subscriptions" drop constraint "event_subscriptions_integration_id_foreign";`);
    this.addSql(`alter table "event_subscriptions" drop constraint "event_subscriptions_webhook_id_foreign";`);
    this.addSql(`alter table "quality_gates" drop constraint "quality_gates_pipeline_id_foreign";`);
    this.addSql(`alter table "pipeline_steps" drop constraint "pipeline_steps_pipeline_id_foreign";`);
    this.addSql(`alter table "pipeline_executions" drop constraint "pipeline_executions_pipeline_id_foreign";`);
    this.addSql(`alter table "quality_gate_results" drop constraint "quality_gate_results_quality_gate_id_foreign";`);
    this.addSql(`alter table "pipeline_step_executions" drop constraint "pipeline_step_executions_step_id_foreign";`);
    this.addSql(`alter table "quality_gate_results" drop constraint "quality_gate_results_execution_id_foreign";`);
    this.addSql(`alter table "pipeline_step_executions" drop constraint "pipeline_step_executions_execution_id_foreign";`);
    this.addSql(`alter table "pipeline_artifacts" drop constraint "pipeline_artifacts_execution_id_foreign";`);
    this.addSql(`alter table "event_replays" drop constraint "event_replays_subscription_id_foreign";`);
    this.addSql(`alter table "documents" drop constraint "documents_document_template_id_foreign";`);
    this.addSql(`alter table "knowledge_entries" drop constraint "knowledge_entries_document_id_foreign";`);
    this.addSql(`alter table "document_versions" drop constraint "document_versions_document_id_foreign";`);
    this.addSql(`alter table "document_links" drop constraint "document_links_document_id_foreign";`);
    this.addSql(`alter table "document_links" drop constraint "document_links_target_document_id_foreign";`);
    this.addSql(`alter table "knowledge_entries" drop constraint "knowledge_entries_previous_version_id_foreign";`);
    this.addSql(`alter table "patterns" drop constraint "patterns_knowledge_entry_id_foreign";`);
    this.addSql(`alter table "knowledge_grants" drop constraint "knowledge_grants_knowledge_entry_id_foreign";`);
    this.addSql(`alter table "documents" drop constraint "documents_head_version_id_foreign";`);
    this.addSql(`alter table "document_versions" drop constraint "document_versions_parent_version_id_foreign";`);
    this.addSql(`alter table "document_versions" drop constraint "document_versions_merged_version_id_foreign";`);
    this.addSql(`alter table "cost_estimates" drop constraint "cost_estimates_cost_model_id_foreign";`);
    this.addSql(`alter table "pipeline_artifacts" drop constraint "pipeline_artifacts_step_execution_id_foreign";`);

    this.addSql(`drop table if exists "backup_runs" cascade;`);
    this.addSql(`drop table if exists "maintenance_runs" cascade;`);
    this.addSql(`drop table if exists "event_metrics" cascade;`);
    this.addSql(`drop table if exists "error_log_summaries" cascade;`);
    this.addSql(`drop table if exists "audit_logs" cascade;`);
    this.addSql(`drop table if exists "query_statistics" cascade;`);
    this.addSql(`drop table if exists "retention_policies" cascade;`);
    this.addSql(`drop table if exists "system_metric_rollups" cascade;`);
    this.addSql(`drop table if exists "system_settings" cascade;`);
    this.addSql(`drop table if exists "prompts" cascade;`);
    this.addSql(`drop table if exists "prompt_test_results" cascade;`);
    this.addSql(`drop table if exists "tool_audit_logs" cascade;`);
    this.addSql(`drop table if exists "token_usage_daily" cascade;`);
    this.addSql(`drop table if exists "system_metrics" cascade;`);
    this.addSql(`drop table if exists "events" cascade;`);
    this.addSql(`drop table if exists "error_logs" cascade;`);
    this.addSql(`drop table if exists "billing_records" cascade;`);
    this.addSql(`drop table if exists "notifications" cascade;`);
    this.addSql(`drop table if exists "model_prices" cascade;`);
    this.addSql(`drop table if exists "success_criteria" cascade;`);
    this.addSql(`drop table if exists "integrations" cascade;`);
    this.addSql(`drop table if exists "webhooks" cascade;`);
    this.addSql(`drop table if exists "pipelines" cascade;`);
    this.addSql(`drop table if exists "quality_gates" cascade;`);
    this.addSql(`drop table if exists "pipeline_steps" cascade;`);
    this.addSql(`drop table if exists "pipeline_executions" cascade;`);
    this.addSql(`drop table if exists "quality_gate_results" cascade;`);
    this.addSql(`drop table if exists "integration_events" cascade;`);
    this.addSql(`drop table if exists "feedback_loops" cascade;`);
    this.addSql(`drop table if exists "external_links" cascade;`);
    this.addSql(`drop table if exists "event_subscriptions" cascade;`);
    this.addSql(`drop table if exists "event_replays" cascade;`);
    this.addSql(`drop table if exists "enum_values" cascade;`);
    this.addSql(`drop table if exists "document_templates" cascade;`);
    this.addSql(`drop table if exists "documents" cascade;`);
    this.addSql(`drop table if exists "knowledge_entries" cascade;`);
    this.addSql(`drop table if exists "patterns" cascade;`);
    this.addSql(`drop table if exists "knowledge_grants" cascade;`);
    this.addSql(`drop table if exists "document_versions" cascade;`);
    this.addSql(`drop table if exists "document_links" cascade;`);
    this.addSql(`drop table if exists "cost_models" cascade;`);
    this.addSql(`drop table if exists "cost_estimates" cascade;`);
    this.addSql(`drop table if exists "complexity_metrics" cascade;`);
    this.addSql(`drop table if exists "agent_permissions" cascade;`);
    this.addSql(`drop table if exists "pipeline_step_executions" cascade;`);
    this.addSql(`drop table if exists "pipeline_artifacts" cascade;`);
    this.addSql(`drop table if exists "token_usages" cascade;`);

    this.addSql(`drop index "conversations_prompt_id_idx";`);

    this.addSql(`drop index "repositories_integration_id_idx";`);

    this.addSql(`drop index "task_runs_prompt_id_idx";`);

    this.addSql('drop function sync.next_event_seq()');
    this.addSql('drop sequence sync.event_seq');
  }

}
