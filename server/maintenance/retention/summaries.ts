/**
 * What remains of rows that are deleted: one statement takes a batch and adds it to the summary, so that however often
 * it is stopped and run again, the sums are those of what is gone.
 */

interface Summary {
  /** `gone` are the deleted rows. */
  readonly insert: string
  /** Rows of a day belong into one statement, because a percentile cannot be put together from parts. */
  readonly byDay?: boolean
}

export const summaries: Readonly<Record<string, Summary>> = {
  token_usages: {
    insert: `
insert into token_usage_daily as kept (organization_id, usage_date, project_id, agent_id, provider, model, request_count, input_tokens, output_tokens, cost_usd)
select organization_id, (occurred_at at time zone 'UTC')::date, project_id, agent_id, provider, model, count(*), sum(input_tokens), sum(output_tokens), coalesce(sum(cost_usd), 0)
from gone group by 1, 2, 3, 4, 5, 6
on conflict (organization_id, usage_date, project_id, agent_id, provider, model) do update set
  request_count = kept.request_count + excluded.request_count, input_tokens = kept.input_tokens + excluded.input_tokens,
  output_tokens = kept.output_tokens + excluded.output_tokens, cost_usd = kept.cost_usd + excluded.cost_usd, updated_at = now()`,
  },
  error_logs: {
    insert: `
insert into error_log_summaries as kept (organization_id, summary_date, category, code, count, unrecoverable_count)
select organization_id, (occurred_at at time zone 'UTC')::date, category, code, count(*), count(*) filter (where not is_recoverable)
from gone group by 1, 2, 3, 4
on conflict (organization_id, summary_date, category, code) do update set
  count = kept.count + excluded.count, unrecoverable_count = kept.unrecoverable_count + excluded.unrecoverable_count, updated_at = now()`,
  },
  system_metrics: {
    byDay: true,
    insert: `
insert into system_metric_rollups as kept (organization_id, metric_name, bucket, bucket_start, labels, sample_count, sum, min, max, p95)
select organization_id, metric_name, bucket, date_trunc(bucket, occurred_at, 'UTC'), labels, count(*), sum(value), min(value), max(value),
  percentile_cont(0.95) within group (order by value)
from gone cross join (values ('hour'), ('day')) as buckets (bucket) group by 1, 2, 3, 4, 5
on conflict (organization_id, metric_name, bucket, bucket_start, labels) do update set
  sample_count = kept.sample_count + excluded.sample_count, sum = kept.sum + excluded.sum, min = least(kept.min, excluded.min),
  max = greatest(kept.max, excluded.max), p95 = greatest(kept.p95, excluded.p95), updated_at = now()`,
  },
}
