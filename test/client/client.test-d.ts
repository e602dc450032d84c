// Checked by the compiler alone: each @ts-expect-error fails the type check when its line compiles.
import type { Client, ClientOf, Schema } from '@tidewire/client'

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
