// Checked by the compiler alone: each @ts-expect-error fails the type check when its line compiles.
import { connect, type Client, type ClientOf, type Schema } from '@tidewire/client'

declare const tide: Client
declare function read<T>(value: T): void
const project = { project: 'p' }

void tide.subscribe(project, { tables: ['tasks', 'task_runs', 'taskRuns'], where: { tasks: { status: 'pending' } } })
void tide.subscribe(project, { where: { task_runs: { attempt: { gt: 1 } } } })
// @ts-expect-error No such table.
void tide.subscribe(project, { tables: ['task'] })
// @ts-expect-error No such column.
void tide.subscribe(project, { where: { tasks: { statsu: 'pending' } } })
// @ts-expect-error No such status.
void tide.subscribe(project, { where: { tasks: { status: { in: ['done'] } } } })
// @ts-expect-error No such table.
void tide.subscribe(project, { where: { task: { status: 'pending' } } })

void tide.memories.search({ text: 'x', where: { memoryType: 'semantic' } })
// @ts-expect-error No such type of memories.
void tide.memories.search({ text: 'x', where: { memoryType: 'sematic' } })
// @ts-expect-error Teams have no embedding.
void tide.teams.search({ text: 'x' })
void tide.search('knowledge_entries', { text: 'x' }).then((hits) => read<string>(hits[0]?.row.title ?? ''))
void tide.search('memories', { text: 'x' }).then((hits) => read<string>(hits[0]?.row.$sync.status ?? ''))
// @ts-expect-error Teams have no embedding.
void tide.search('teams', { text: 'x' })
// @ts-expect-error No such column.
void tide.search('memories', { text: 'x', where: { memoryTyp: 'semantic' } })

void tide.conflicts.find({ where: { status: 'open', tableName: 'tasks' }, limit: 3 })
// @ts-expect-error No such status.
void tide.conflicts.find({ where: { status: 'opened' } })
void tide.conflicts.resolve('c', 'client').then((write) => read<string>(write.status))
void tide.conflicts.resolve('c', { title: 'Both', deadline: new Date() })
// @ts-expect-error No table has such a column.
void tide.conflicts.resolve('c', { titel: 'Both' })
// @ts-expect-error No title is a number.
void tide.conflicts.resolve('c', { title: 3 })
// @ts-expect-error Neither side is called so.
void tide.conflicts.resolve('c', 'mine')

void tide.call('tasks.claim', { agentId: 'a' }).then(({ task }) => read<string | undefined>(task?.title))
// @ts-expect-error Misspelt.
void tide.call('tasks.clam', { agentId: 'a' })
// @ts-expect-error The agent is missing.
void tide.call('tasks.claim', {})
// @ts-expect-error A lease is a number.
void tide.call('tasks.claim', { agentId: 'a', leaseSeconds: '60' })
void tide.call('shop.ship', { order: 3 }).then((answer) => read<unknown>(answer))

// Where only the server knows the tables, names and columns are texts.
declare const any: ClientOf<Schema>
void any.subscribe(project, { tables: ['anything'], where: { anything: { column: { gt: 1 } } } })
void any.search('anything', { text: 'x', where: { column: 'x' } })
void any.conflicts.resolve('c', { column: 'x' })

/** What users type first, word by word: never run, only compiled. */
export async function contract(id: string, projectId: string, agentId: string, vector: Float32Array): Promise<void> {
  const client = await connect({
    url: 'http://127.0.0.1:4600',
    token: process.env['TIDEWIRE_TOKEN'],
    replica: { kind: 'pglite', dir: './agent-7' },
    device: { name: 'agent-7', kind: 'agent_runtime' },
  })
  await connect({
    url: 'http://127.0.0.1:4600',
    token: () => Promise.resolve('token'),
    replica: { kind: 'pglite', name: 'my-app' },
    device: { name: 'my-app', kind: 'browser' },
  })
  const followed = await client.subscribe(
    { project: projectId },
    {
      tables: ['tasks', 'messages'],
      where: { tasks: { status: { in: ['pending', 'in_progress'] } } },
      embeddings: false,
    },
  )
  await followed.ready
  read<'bootstrapping' | 'live' | 'stale' | 'revoked' | 'unsubscribed'>(followed.state)
  await client.subscribe({ organization: true })
  await client.subscribe({ agent: true })

  const task = await client.tasks.insert({ projectId, title: 'Index the docs' })
  const write = await client.tasks.update(task.id, { status: 'in_progress' })
  await client.knowledgeEntries.increment(id, { useCount: 1 })
  await client.tasks.delete(task.id)
  await client.tasks.restore(task.id)
  await client.transaction(async (tx) => {
    await tx.tasks.update(id, { priority: 'high' })
    await tx.messages.insert({ conversationId: id, role: 'agent', content: 'Done' })
  })
  read<string>(write.id)
  read<'local' | 'syncing' | 'acknowledged' | 'synced' | 'conflict' | 'rejected' | 'discarded'>(write.status)
  await write.wait('acknowledged')
  read<'applied' | 'merged' | 'noop' | 'conflict' | 'rejected'>((await write.outcome).kind)
  await task.$write.wait('synced')

  await client.tasks.get(id)
  await client.tasks.find({
    where: { status: { in: ['pending'] }, priority: 'high' },
    orderBy: [{ createdAt: 'desc' }],
    limit: 20,
  })
  client.tasks.live({ where: { status: 'pending' } }, (rows, change) =>
    read<number>(rows.length + change.added.length),
  )()
  for await (const rows of client.tasks.live({ where: { status: 'pending' } }))
    read<string>(rows[0]?.$sync.status ?? '')
  await client.sql`select status, count(*) from tasks group by 1`

  client.conflicts.live((open) => read<number>(open.length))
  const [conflict] = await client.conflicts.find({ where: { status: 'open' } })
  read<unknown>([conflict?.table, conflict?.rowId, conflict?.kind, conflict?.base, conflict?.mine, conflict?.theirs])
  await client.conflicts.resolve(id, { title: 'merged' })
  await client.writes.find({ status: 'rejected' })
  read<string>((await client.writes.retry(id)).status)
  await client.writes.discard(id)
  const { connection, pending, conflicts, staleSince, device, channels } = client.status
  read<unknown>([connection, pending, conflicts, staleSince, device, channels])
  client.onStatus(() => undefined)()
  read<boolean>((await client.verify()).equal)

  await client.memories.insert({
    content: 'The staging deploy needs the VPN',
    memoryType: 'semantic',
    scope: 'project',
    projectId,
  })
  const hits = await client.memories.search({
    text: 'why does the deploy fail',
    where: { memoryType: 'semantic' },
    limit: 8,
  })
  read<unknown>([hits[0]?.row, hits[0]?.score, hits[0]?.parts, hits.mode, hits.complete])
  await client.memories.search({ embedding: vector, mode: 'local' })
  await client.search('knowledge_entries', { text: 'vpn' })
  await client.call('tasks.claim', { agentId, leaseSeconds: 60 })
  const room = client.presence({ project: projectId })
  room.set({ typing: true })
  room.live((peers) => read<number>(peers.length))
  client.disconnect()
  client.connect()
  await client.close()
}
