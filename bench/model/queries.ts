import type { Repositories, Unit } from '../../server/repositories/repositories.ts'
import type { ModelData } from './model-data.ts'

/** One query of a repository, in a unit of its own. */
export interface ModelQuery {
  readonly name: string
  readonly what: string
  /** Many statements, which the goal of one query is not for. */
  readonly isMany?: true
  run(unit: Unit, round: number): Promise<unknown>
}

/** What the queries ask with: rows that are there. */
export interface Samples {
  readonly taskIds: readonly string[]
  readonly cursors: readonly string[]
  readonly memoryIds: readonly string[]
  readonly vectors: readonly Float32Array[]
  readonly seq: number
}

const pick = <T>(list: readonly T[], round: number): T => {
  const value = list[(round * 7919) % list.length]
  if (value === undefined) throw new Error('There is nothing to pick from.')
  return value
}

/** Every method of every repository, against the whole data. */
export function modelQueries(data: ModelData, samples: Samples): readonly ModelQuery[] {
  const project = (round: number): string => pick(data.projectIds, round)
  const byImportance = [
    ['priorityRank', 'desc'],
    ['createdAt', 'asc'],
  ] as const
  const week = (round: number): readonly [Date, Date] => {
    const to = Date.now() - (round % 150) * 86_400_000
    return [new Date(to - 7 * 86_400_000), new Date(to)]
  }
  return [
    { name: 'get', what: 'a task by id', run: ({ tasks }, n) => tasks.get(pick(samples.taskIds, n)) },
    {
      name: 'list',
      what: 'the first 50 pending tasks of a project by importance and age',
      run: ({ tasks }, n) => tasks.list({ where: { projectId: project(n), status: 'pending' }, orderBy: byImportance }),
    },
    {
      name: 'page',
      what: 'a page of 50 deep in 100,000 tasks',
      run: ({ tasks }, n) => tasks.list({ after: pick(samples.cursors, n) }),
    },
    {
      name: 'count',
      what: 'the tasks of a project, counted',
      run: ({ tasks }, n) => tasks.count({ projectId: project(n) }),
    },
    {
      name: 'exists',
      what: 'whether a project has a task of a title',
      run: ({ tasks }, n) => tasks.exists({ projectId: project(n), title: `none ${n}` }),
    },
    {
      name: 'tagged',
      what: 'the tasks of a tag',
      run: ({ tasks }, n) => tasks.list({ where: { tags: { $contains: [`t${n % 500}`] } } }),
    },
    { name: 'ready', what: 'the 50 tasks that are next in a project', run: ({ tasks }, n) => tasks.ready(project(n)) },
    {
      name: 'claim',
      what: 'the next task, claimed',
      run: ({ tasks }, n) => tasks.claim({ agentId: pick(data.agentIds, n), projectIds: [project(n)] }),
    },
    {
      name: 'create',
      what: 'a task, made',
      run: ({ tasks }, n) => tasks.create({ projectId: project(n), title: `New ${n}` }),
    },
    {
      name: 'create-100',
      what: 'a hundred tasks, made',
      isMany: true,
      run: ({ tasks }, n) =>
        tasks.createMany(Array.from({ length: 100 }, (_, i) => ({ projectId: project(n), title: `New ${n}.${i}` }))),
    },
    {
      name: 'patch',
      what: 'a task, changed',
      run: ({ tasks }, n) => tasks.patch(pick(samples.taskIds, n), { position: n }),
    },
    {
      name: 'delete',
      what: 'a task, deleted with what belongs to it, and restored',
      isMany: true,
      run: async ({ tasks }, n) => {
        const id = pick(samples.taskIds, n)
        await tasks.softDelete(id)
        await tasks.restore(id)
      },
    },
    { name: 'memory', what: 'a memory by id', run: ({ memories }, n) => memories.get(pick(samples.memoryIds, n)) },
    {
      name: 'vector',
      what: 'the 10 nearest memories',
      run: ({ memories }, n) => memories.search({ embedding: pick(samples.vectors, n) }),
    },
    {
      name: 'vector-filtered',
      what: 'the 10 nearest of a project and a type',
      run: ({ memories }, n) =>
        memories.search({ embedding: pick(samples.vectors, n), projectId: project(n), types: ['decision'] }),
    },
    {
      name: 'words',
      what: 'the 10 best by words',
      run: ({ memories }, n) => memories.search({ text: `topic${n % 997}` }),
    },
    {
      name: 'hybrid',
      what: 'the 10 best by vector and words',
      run: ({ memories }, n) => memories.search({ embedding: pick(samples.vectors, n), text: `topic${n % 997}` }),
    },
    {
      name: 'remember',
      what: 'a memory with its vector, made',
      run: ({ memories }, n) =>
        memories.create({ scope: 'organization', content: `New ${n}`, embedding: pick(samples.vectors, n) }),
    },
    {
      name: 'knowledge',
      what: 'knowledge by words',
      run: ({ knowledge }, n) => knowledge.search({ text: `topic${n % 997}` }),
    },
    {
      name: 'usage-week',
      what: 'a week of usage of a project, by agent and model',
      run: ({ usage }, n) => usage.totals(project(n), ...week(n)),
    },
    {
      name: 'usage-add',
      what: 'a usage, priced and stored',
      run: ({ usage }, n) =>
        usage.create({ projectId: project(n), provider: 'openai', model: 'gpt-4', inputTokens: 10, outputTokens: 10 }),
    },
    {
      name: 'changes',
      what: 'the log of a channel',
      run: ({ sync }, n) => sync.changes(`project/${project(n)}`, samples.seq),
    },
    { name: 'head', what: 'where the log ends', run: ({ sync }) => sync.head() },
    {
      name: 'conflicts',
      what: 'the open conflicts of a row',
      run: ({ sync }, n) => sync.openConflicts('tasks', pick(samples.taskIds, n)),
    },
  ]
}

/** Rows to ask with. */
export async function takeSamples(repositories: Repositories, data: ModelData): Promise<Samples> {
  return repositories.withUnit({ organizationId: data.organizationId }, async ({ tasks, memories, sync }) => {
    const [firstTasks, remembered, { seq }] = [
      await tasks.list({ limit: 1000 }),
      await memories.list({ limit: 200, embeddings: true }),
      await sync.head(),
    ]
    const cursors: string[] = []
    let after = firstTasks.next
    while (after !== undefined && cursors.length < 100) {
      cursors.push(after)
      after = (await tasks.list({ limit: 1000, after })).next
    }
    return {
      taskIds: firstTasks.rows.map(({ id }) => id),
      cursors,
      memoryIds: remembered.rows.map(({ id }) => id),
      vectors: remembered.rows.flatMap(({ embedding }) => (embedding ? [embedding] : [])),
      seq,
    }
  })
}
