import type pg from 'pg'
import { withIndexesAfterwards } from './bulk.ts'
import { vectorSql } from './fill.ts'

export interface ModelSizes {
  readonly tasks: number
  readonly usages: number
  readonly memories: number
}

export interface ModelData {
  readonly organizationId: string
  readonly userId: string
  /** Ten of them, with equal shares of everything. */
  readonly projectIds: readonly string[]
  readonly agentIds: readonly string[]
}

const projects = 10
const agents = 20
/** Days over which usages are spread. */
export const usageDays = 180

/**
 * One organization with so much in it, made in SQL: triggers that would compute for each row what is written here
 * anyway are off meanwhile, and indexes are made at the end. Rows are what the triggers would have made of them.
 */
export async function seedModel(
  on: pg.ClientBase,
  sizes: ModelSizes,
  progress: (line: string) => void,
): Promise<ModelData> {
  const one = async (text: string, values: readonly unknown[] = []): Promise<string> =>
    (await on.query<{ id: string }>(text, [...values])).rows[0]?.id ?? ''
  const many = async (text: string, values: readonly unknown[]): Promise<readonly string[]> =>
    (await on.query<{ id: string }>(text, [...values])).rows.map(({ id }) => id)
  await on.query('select setseed(0.5)')
  const organizationId = await one(`insert into organizations (name, slug) values ('Model', 'model') returning id`)
  const userId = await one(`insert into users (email) values ('model@example.com') returning id`)
  // Who is no member sees nothing, and a search on their behalf would find nothing.
  await on.query(`insert into organization_members (organization_id, user_id, role) values ($1, $2, 'member')`, [
    ...[organizationId, userId],
  ])
  const projectIds = await many(
    `insert into projects (organization_id, name, slug) select $1, 'P' || i, 'p' || i from generate_series(1, $2) i returning id`,
    [organizationId, projects],
  )
  const agentIds = await many(
    `insert into agents (organization_id, name, agent_type) select $1, 'A' || i, 'generic' from generate_series(1, $2) i returning id`,
    [organizationId, agents],
  )
  const triggers = (state: 'enable' | 'disable'): Promise<unknown> =>
    on.query(
      ['tasks', 'token_usages', 'memories'].map((table) => `alter table ${table} ${state} trigger all`).join(';'),
    )
  const { rows: always } = await on.query<{ statement: string }>(enabledAlways)
  await triggers('disable')
  progress(`Making ${sizes.tasks} tasks`)
  const fillTasks = async (): Promise<void> => {
    await on.query(insertTasks, [organizationId, projectIds, agentIds, sizes.tasks])
  }
  await withIndexesAfterwards(on, ['tasks'], fillTasks, progress)
  progress(`Making ${sizes.usages} usages`)
  // One row of each month makes its partition, so that nothing has to be moved.
  await on.query(insertUsages, [organizationId, projectIds, agentIds, usageDays, usageDays])
  await on.query('select sync.ensure_partitions(1)')
  const fillUsages = async (): Promise<void> => {
    const chunk = 100_000
    for (let made = 0; made < sizes.usages; made += chunk)
      await on.query(insertUsages, [
        organizationId,
        projectIds,
        agentIds,
        Math.min(chunk, sizes.usages - made),
        usageDays,
      ])
  }
  await withIndexesAfterwards(on, ['token_usages'], fillUsages, progress)
  progress(`Making ${sizes.memories} memories`)
  const fillMemories = async (): Promise<void> => {
    await on.query(insertMemories, [organizationId, projectIds, agentIds, sizes.memories])
  }
  await withIndexesAfterwards(on, ['memories'], fillMemories, progress)
  await triggers('enable')
  for (const { statement } of always) await on.query(statement)
  await on.query('vacuum analyze')
  return { organizationId, userId, projectIds, agentIds }
}

/** What `enable trigger all` would weaken. */
const enabledAlways = `
select format('alter table %s enable always trigger %I', t.tgrelid::regclass, t.tgname) as statement
from pg_trigger t where t.tgrelid in ('tasks'::regclass, 'token_usages'::regclass, 'memories'::regclass) and t.tgenabled = 'A' and not t.tgisinternal`

/** $1 organization, $2 projects, $3 agents, $4 how many. One in twenty is pending. */
const insertTasks = `
insert into tasks (organization_id, channel, project_id, title, description, status, priority, assigned_agent_id, progress_percentage, position, tags, metadata, created_at, updated_at)
select $1, 'project/' || p.id, p.id, 'Task ' || i || ' ' || left(md5(i::text), 8), repeat(md5(i::text) || ' ', 3),
  case when i % 20 = 0 then 'pending' else (array['completed','in_progress','in_review','blocked','cancelled'])[1 + i % 5] end,
  (array['low','medium','high','critical'])[1 + i % 4], case when i % 3 = 0 then ($3::uuid[])[1 + i % cardinality($3::uuid[])] end, i % 101, i,
  array['t' || i % 500], jsonb_build_object('batch', i / 100), m.moment, m.moment
from generate_series(1, $4::int) i, lateral (select ($2::uuid[])[1 + i % cardinality($2::uuid[])] as id) p,
  lateral (select now() - random() * interval '180 days' as moment) m`

/** $1 organization, $2 projects, $3 agents, $4 how many, $5 days. */
const insertUsages = `
insert into token_usages (organization_id, project_id, agent_id, provider, model, input_tokens, output_tokens, cost_usd, occurred_at)
select $1, ($2::uuid[])[1 + i % cardinality($2::uuid[])], ($3::uuid[])[1 + (i / 7) % cardinality($3::uuid[])], 'openai', (array['gpt-4','gpt-4-turbo','gpt-3.5-turbo'])[1 + i % 3],
  1000 + i % 4000, 100 + i % 900, round((random() / 10)::numeric, 8), now() - (i::float8 / $4) * $5::int * interval '1 day'
from generate_series(1, $4::int) i`

/**
 * $1 organization, $2 projects, $3 agents, $4 how many. Vectors lie around 500 centres, as those of texts do; each
 * centre is one project's.
 */
const insertMemories = `
with centres as materialized (select c, ${vectorSql(384).replace('i > 0', 'c > 0')} as centre from generate_series(1, 500) c)
insert into memories (organization_id, channel, scope, project_id, memory_type, tier, content, embedding, embedding_model, embedding_status, source_agent_id, importance)
select $1, 'project/' || p.id, 'project', p.id, (array['semantic','episodic','procedural','decision'])[1 + (i / 500) % 4], (array['hot','warm','cold'])[1 + i % 3],
  'Memory ' || i || ' of ' || left(md5(i::text), 6) || ' about topic' || i % 997 || ' and ' || left(md5((i % 5000)::text), 7),
  c.centre + (select array_agg((random() - 0.5) / 3) from generate_series(1, 384) where i > 0)::vector, 'random', 'ready', ($3::uuid[])[1 + i % cardinality($3::uuid[])], round(random()::numeric, 3)
from generate_series(1, $4::int) i join centres c on c.c = 1 + i % 500, lateral (select ($2::uuid[])[1 + i % cardinality($2::uuid[])] as id) p`
