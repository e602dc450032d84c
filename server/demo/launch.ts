import type pg from 'pg'
import { uuidFromKey } from '../../lib/uuid-from-key.ts'
import { insertRow } from '../db/db.ts'
import { makePipeline } from './pipeline.ts'
import { makePlan } from './plan.ts'
import { agentOf, type Add, type Values } from './row.ts'

/** What of the demo is there when its second project is made. */
export interface LaunchParts {
  readonly client: pg.ClientBase
  readonly uuid: () => string
  /** Milliseconds since 1970. */
  readonly now: number
  readonly organizationId: string
  /** User ids by name. */
  readonly users: ReadonlyMap<string, string>
  readonly scoutId: string
  readonly embed: (text: string) => string
}

const dayMs = 86_400_000

/**
 * Project `launch`: a team with agents that work for it, a plan down to subtasks, what they said, learned and cost over
 * ten days, a pipeline whose last run was stopped by a gate and waived, and a conflict that waits for Ben.
 */
export async function makeLaunch(parts: LaunchParts): Promise<void> {
  const { client, uuid, now, organizationId, users, scoutId } = parts
  const add: Add = async (table, row) => {
    const id = typeof row['id'] === 'string' ? row['id'] : uuid()
    await insertRow(client, table, { organization_id: organizationId, ...row, id })
    return id
  }
  const at = (days: number): string => new Date(now - days * dayMs).toISOString()
  const [ada = '', ben = '', cy = ''] = ['Ada', 'Ben', 'Cy'].map((name) => users.get(name))

  const teamId = await add('teams', {
    name: 'Launch crew',
    slug: 'launch-crew',
    lead_user_id: cy,
    created_by_user_id: ada,
  })
  for (const user_id of [ada, ben, cy])
    await add('team_memberships', {
      id: uuidFromKey('team_memberships', [teamId, user_id, null]),
      team_id: teamId,
      user_id,
    })
  const pilotId = await add('agents', {
    ...agentOf('pilot', 'orchestrator', 'Splits plans into tasks and hands them out.'),
    owner_user_id: cy,
    team_id: teamId,
  })
  const criticId = await add('agents', {
    ...agentOf('critic', 'reviewer', 'Reads what others wrote, and says so.'),
    owner_user_id: ben,
    team_id: teamId,
  })
  for (const agent_id of [scoutId, pilotId, criticId])
    await add('team_memberships', {
      id: uuidFromKey('team_memberships', [teamId, null, agent_id]),
      team_id: teamId,
      agent_id,
    })

  const projectId = await add('projects', {
    name: 'Launch',
    slug: 'launch',
    description: 'From the first idea to the day it is out.',
    owner_user_id: cy,
    team_id: teamId,
    created_by_user_id: ada,
    current_stage: 'beta',
    started_at: at(10),
  })
  for (const agent_id of [scoutId, pilotId, criticId])
    await add('project_members', {
      id: uuidFromKey('project_members', [projectId, null, null, agent_id]),
      project_id: projectId,
      agent_id,
    })
  const here = { project_id: projectId }
  const taskIds = await makePlan(add, here, { ada, ben, pilotId, scoutId, at })
  await makeTalk(add, here, { ada, pilotId, criticId, at })
  await makeLearned(add, here, parts, { pilotId, teamId, ada })
  await makeCosts(parts, projectId, [scoutId, pilotId, criticId])
  await makePipeline(add, here, { cy, pilotId, at })
  await add('sync_conflicts', {
    channel: `project/${projectId}`,
    mutation_id: uuid(),
    user_id: ben,
    table_name: 'tasks',
    row_id: taskIds[0],
    kind: 'field',
    base_version: 1,
    server_version: 2,
    fields: {
      title: { base: 'Write the announcement', server: 'Write the announcement', client: 'Write the launch post' },
    },
    client_patch: { title: 'Write the launch post' },
  })
  await add('notifications', {
    user_id: ben,
    kind: 'conflict.opened',
    severity: 'warning',
    title: 'A write of yours lost to another one',
    subject_type: 'tasks',
    subject_id: taskIds[0],
  })
}

async function makeTalk(
  add: Add,
  here: Values,
  {
    ada,
    pilotId,
    criticId,
    at,
  }: {
    readonly ada: string
    readonly pilotId: string
    readonly criticId: string
    readonly at: (days: number) => string
  },
): Promise<void> {
  const conversationId = await add('conversations', {
    ...here,
    scope: 'project',
    title: 'Is the announcement honest?',
    channel: 'agent_to_agent',
    created_by_agent_id: pilotId,
  })
  for (const agent_id of [pilotId, criticId])
    await add('conversation_participants', {
      id: uuidFromKey('conversation_participants', [conversationId, null, agent_id]),
      conversation_id: conversationId,
      agent_id,
    })
  const talk = [
    [
      { sender_agent_id: pilotId, created_by_agent_id: pilotId, role: 'agent' },
      'The draft says "instant". Is that so?',
    ],
    [
      { sender_agent_id: criticId, created_by_agent_id: criticId, role: 'agent' },
      'We measured milliseconds. Say the number, it is better than the word.',
    ],
    [{ sender_user_id: ada, created_by_user_id: ada, role: 'user' }, 'Agreed. Numbers, and how we got them.'],
  ] as const
  for (const [index, [sender, content]] of talk.entries())
    await add('messages', { conversation_id: conversationId, ...sender, content, sent_at: at(2 - index / 100) })
}

async function makeLearned(
  add: Add,
  here: Values,
  { embed }: LaunchParts,
  { pilotId, teamId, ada }: { readonly pilotId: string; readonly teamId: string; readonly ada: string },
): Promise<void> {
  const memories = [
    [{ scope: 'project', ...here }, 'decision', 'The announcement gives numbers, and how they were measured'],
    [{ scope: 'team', team_id: teamId }, 'procedural', 'Before a release the load test runs twice, on a quiet machine'],
    [
      { scope: 'agent', agent_id: pilotId },
      'reflection',
      'Tasks that wait for a person are split from those that do not',
    ],
  ] as const
  for (const [scope, memory_type, content] of memories) {
    const memoryId = await add('memories', {
      ...scope,
      memory_type,
      content,
      created_by_agent_id: pilotId,
      source: 'agent_learning',
      importance: 0.8,
      embedding: embed(content),
      embedding_model: 'toy-hash',
      embedding_status: 'ready',
    })
    await add('memory_tags', {
      id: uuidFromKey('memory_tags', [memoryId, 'launch']),
      memory_id: memoryId,
      tag: 'launch',
    })
  }
  const content = 'Replicas first, then the server: who writes never waits for the network.'
  await add('knowledge_entries', {
    ...here,
    scope: 'project',
    entry_type: 'adr',
    title: 'Why writes are local first',
    content,
    tags: ['sync'],
    created_by_user_id: ada,
    source: 'manual',
    embedding: embed(content),
    embedding_model: 'toy-hash',
    embedding_status: 'ready',
  })
  await add('documents', {
    ...here,
    scope: 'project',
    title: 'Launch notes',
    path: 'launch/notes.md',
    content: '# Launch notes\n\nWhat is in it, what is not, and what comes next.\n',
    created_by_user_id: ada,
  })
}

/** Three usages a day for ten days; the prices are those in force. One statement, for each costs a first start time. */
async function makeCosts(
  { client, uuid, now, organizationId }: LaunchParts,
  projectId: string,
  agents: readonly string[],
): Promise<void> {
  const rows = Array.from({ length: 30 }, (_, n) => ({
    id: uuid(),
    organization_id: organizationId,
    project_id: projectId,
    agent_id: agents[n % agents.length],
    provider: 'openai',
    model: n % 2 === 0 ? 'gpt-4-turbo' : 'gpt-3.5-turbo',
    input_tokens: 8000 + ((n * 977) % 9000),
    output_tokens: 900 + ((n * 389) % 1500),
    occurred_at: new Date(now - (n / 3 + 0.1) * dayMs).toISOString(),
  }))
  const names = Object.keys(rows[0] ?? {}).join(', ')
  await client.query(
    `insert into token_usages (${names}) select ${names} from jsonb_populate_recordset(null::token_usages, $1)`,
    [JSON.stringify(rows)],
  )
}
