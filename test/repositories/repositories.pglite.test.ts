import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { agentTypes } from '../../server/entities/agents/agent-types.ts'
import { plans } from '../../server/entities/planning/plans.ts'
import { taskRuns } from '../../server/entities/planning/task-runs.ts'
import { tasks } from '../../server/entities/planning/tasks.ts'
import { projects } from '../../server/entities/projects/projects.ts'
import type { Unit } from '../../server/repositories/repositories.ts'
import { createWorld } from '../migrations/rows.ts'
import { createRepositoryWorld, type RepositoryWorld } from './world.ts'

let on: RepositoryWorld
beforeAll(async () => {
  on = await createRepositoryWorld('embedded')
})
afterAll(() => on.db.close())

const unit = <T>(work: (unit: Unit) => Promise<T>): Promise<T> => on.repositories.withUnit(on.actor, work)
const addTask = (title = 'T') => unit(({ tasks }) => tasks.create({ projectId: on.world.project, title }))
const unknown = '01890000-0000-7000-8000-000000000000'

describe('a unit', () => {
  test('names its actor to the database, and nobody afterwards', async () => {
    const settings = `select current_setting('app.organization_id', true) as organization, current_setting('app.user_id', true) as user`
    expect(await unit(({ query }) => query({ text: settings }))).toEqual([
      { organization: on.world.organization, user: on.world.user },
    ])
    expect((await on.db.database.pool.query(settings)).rows[0]).not.toMatchObject({ user: on.world.user })
  })

  test('fills in what the actor says, and answers the row as stored', async () => {
    expect(await addTask()).toMatchObject({
      organizationId: on.world.organization,
      createdByUserId: on.world.user,
      channel: `project/${on.world.project}`,
      version: 1,
      status: 'pending',
      priorityRank: 2,
      createdAt: expect.any(Date),
    })
  })

  test('that throws leaves nothing behind', async () => {
    const before = await unit(({ tasks }) => tasks.count())
    const failure = new Error('Never mind.')
    const failed = unit(async ({ tasks }) => {
      await tasks.create({ projectId: on.world.project, title: 'gone' })
      throw failure
    })
    await expect(failed).rejects.toBe(failure)
    expect(await unit(({ tasks }) => tasks.count())).toBe(before)
  })

  test('has the ORM in the same transaction, and flushes what it tracks', async () => {
    const { id } = await addTask()
    await unit(async ({ em, query }) => {
      const task = await em.findOneOrFail(tasks, { id })
      task.title = 'tracked'
      await em.transactional(async (inner) => inner.persist(inner.create(tasks, draft('inner'))))
      const undone = em.transactional(async (inner) => {
        await inner.insert(tasks, draft('undone'))
        throw new Error('back to the savepoint')
      })
      await expect(undone).rejects.toThrow('back to the savepoint')
      expect(await query({ text: `select title from tasks where title in ('inner', 'undone')` })).toEqual([
        { title: 'inner' },
      ])
    })
    expect(await unit(({ tasks }) => tasks.need(id))).toMatchObject({ title: 'tracked', version: 2 })
  })

  test('that only reads refuses to write', async () => {
    const writing = on.repositories.withUnit(on.actor, ({ tasks }) => tasks.create(draft('no')), { readOnly: true })
    await expect(writing).rejects.toMatchObject({ code: 'forbidden' })
    expect(
      await on.repositories.withUnit(on.actor, ({ tasks }) => tasks.exists({ title: 'no' }), { readOnly: true }),
    ).toBe(false)
  })

  test('ends when its signal does, and commits nothing', async () => {
    const controller = new AbortController()
    const reason = new Error('The user has left.')
    const aborted = on.repositories.withUnit(
      on.actor,
      async ({ tasks, signal }) => {
        await tasks.create({ projectId: on.world.project, title: 'aborted' })
        controller.abort(reason)
        expect(signal?.aborted).toBe(true)
        await tasks.create({ projectId: on.world.project, title: 'aborted' })
      },
      { signal: controller.signal },
    )
    await expect(aborted).rejects.toBe(reason)
    expect(await unit(({ tasks }) => tasks.exists({ title: 'aborted' }))).toBe(false)
    await expect(
      on.repositories.withUnit(on.actor, () => Promise.reject(new Error('not run')), { signal: controller.signal }),
    ).rejects.toBe(reason)
  })

  test('tells of its commit', async () => {
    const before = on.commits()
    await addTask()
    expect(on.commits()).toBe(before + 1)
  })
})

const draft = (title: string) => ({
  organizationId: on.world.organization,
  channel: '',
  projectId: on.world.project,
  title,
})

describe('a change', () => {
  test('made for another version is refused, and changes nothing', async () => {
    const task = await addTask()
    const mine = await unit(({ tasks }) => tasks.patch(task.id, { title: 'mine' }, { version: 1 }))
    expect(mine).toMatchObject({ title: 'mine', version: 2 })
    const theirs = unit(({ tasks }) => tasks.patch(task.id, { title: 'theirs' }, { version: 1 }))
    await expect(theirs).rejects.toMatchObject({
      code: 'version_conflict',
      message: `tasks ${task.id} has version 2, not 1.`,
    })
    await expect(unit(({ tasks }) => tasks.softDelete(task.id, { version: 1 }))).rejects.toMatchObject({
      code: 'version_conflict',
    })
    expect(await unit(({ tasks }) => tasks.need(task.id))).toMatchObject({ title: 'mine', version: 2 })
  })

  test('of what is not there, or deleted, is refused', async () => {
    const { id } = await addTask()
    await unit(({ tasks }) => tasks.softDelete(id))
    await expect(unit(({ tasks }) => tasks.patch(id, { title: 'x' }))).rejects.toMatchObject({ code: 'row_deleted' })
    await expect(unit(({ tasks }) => tasks.patch(unknown, { title: 'x' }))).rejects.toMatchObject({
      code: 'not_found',
      message: expect.stringContaining(unknown),
    })
  })

  test('of many rows changes those that the condition selects', async () => {
    const titles = ['a', 'b', 'c'].map((title) => ({ projectId: on.world.project, title, parallelGroup: 'bulk' }))
    await unit(({ tasks }) => tasks.createMany(titles))
    expect(
      await unit(({ tasks }) => tasks.patchMany({ parallelGroup: 'bulk', title: { $ne: 'b' } }, { position: 9 })),
    ).toBe(2)
    expect(await unit(({ tasks }) => tasks.count({ position: 9 }))).toBe(2)
  })

  test('that deletes takes what belongs to the row, and restoring brings back exactly that', async () => {
    const [project, early, late] = await unit(async (here) => {
      const project = await here.of(projects).create({ name: 'P', slug: 'parent' })
      const [early, late] = await here.tasks.createMany(
        ['early', 'late'].map((title) => ({ projectId: project.id, title })),
      )
      return [project.id, early?.id ?? '', late?.id ?? ''] as const
    })
    await unit(({ tasks }) => tasks.softDelete(early))
    await unit((here) => here.of(projects).softDelete(project))
    expect(await unit(({ tasks }) => tasks.get(late))).toBeUndefined()
    await unit((here) => here.of(projects).restore(project))
    expect(await unit(({ tasks }) => tasks.get(late))).toMatchObject({ title: 'late' })
    expect(await unit(({ tasks }) => tasks.get(early))).toBeUndefined()
  })

  const cases = [
    [
      'a CHECK',
      { projectId: '', title: 'T', progressPercentage: 140 },
      'constraint_violated',
      'tasks',
      'progressPercentage is 140',
    ],
    [
      'a list of values',
      { projectId: '', title: 'T', status: 'done' as never },
      'constraint_violated',
      'tasks',
      'status is "done"',
    ],
    ['a foreign key', { projectId: unknown, title: 'T' }, 'foreign_key_violated', 'tasks.projectId', unknown],
    ['NOT NULL', { projectId: '', title: null as never }, 'invalid_value', 'tasks.title', 'must have a value'],
    ['a type', { projectId: '', title: 'T', planId: 'no uuid' }, 'invalid_value', 'tasks', '"no uuid"'],
  ] as const
  test.each(cases)('that breaks %s is refused by name', async (_, values, code, place, value) => {
    const row = { ...values, projectId: values.projectId === '' ? on.world.project : values.projectId }
    const refused = unit(({ tasks }) => tasks.create(row))
    await expect(refused).rejects.toMatchObject({ code, message: expect.stringContaining(place) })
    await expect(refused).rejects.toThrow(value)
  })

  test('that breaks a unique key is refused by name', async () => {
    const add = () => unit((here) => here.of(projects).create({ name: 'P', slug: 'twice' }))
    await add()
    await expect(add()).rejects.toMatchObject({
      code: 'unique_violated',
      message: expect.stringMatching(/^projects has another row with organizationId, slug = .*twice/),
    })
  })
})

describe('another organization', () => {
  test('is not there: neither for reading nor for writing', async () => {
    const other = await createWorld(on.db.database.pool)
    const theirs = await on.repositories.withUnit({ organizationId: other.organization }, ({ tasks }) =>
      tasks.create({ projectId: other.project, title: 'theirs' }),
    )
    expect(await unit(({ tasks }) => tasks.get(theirs.id))).toBeUndefined()
    expect(await unit(({ tasks }) => tasks.exists({ title: 'theirs' }))).toBe(false)
    await expect(unit(({ tasks }) => tasks.patch(theirs.id, { title: 'mine' }))).rejects.toMatchObject({
      code: 'not_found',
    })
    await expect(unit(({ tasks }) => tasks.remove(theirs.id))).rejects.toMatchObject({ code: 'not_found' })
    expect(await on.repositories.withUnit({}, ({ tasks }) => tasks.get(theirs.id))).toMatchObject({ title: 'theirs' })
  })

  test('has rows in common that are read and not written', async () => {
    const [shipped] = (await unit((here) => here.of(agentTypes).list({ where: { key: 'generic' } }))).rows
    expect(shipped).toMatchObject({ organizationId: null })
    await expect(unit((here) => here.of(agentTypes).patch(shipped?.id ?? '', { name: 'Mine' }))).rejects.toMatchObject({
      code: 'forbidden',
    })
  })
})

describe('pages', () => {
  const deadlines = [3, 1, null, 2, 2, null, 1].map((day) => (day === null ? null : new Date(Date.UTC(2026, 10, day))))

  test.each(['asc', 'desc'] as const)(
    'in %s order are what they were, whatever is inserted meanwhile',
    async (direction) => {
      const project = await unit((here) => here.of(projects).create({ name: 'P', slug: `pages-${direction}` }))
      const add = (deadline: Date | null, title: string) =>
        unit((here) => here.of(plans).create({ projectId: project.id, title, deadline }))
      for (const deadline of deadlines) await add(deadline, 'first')
      const orderBy = [['deadline', direction]] as const
      const list = (after?: string, limit = 2) =>
        unit((here) => here.of(plans).list({ where: { projectId: project.id }, orderBy, limit, after }))
      const expected = (await list(undefined, 100)).rows.map(({ id }) => id)
      expect(expected).toHaveLength(deadlines.length)

      const seen: string[] = []
      let next: string | undefined
      do {
        const page = await list(next)
        seen.push(...page.rows.filter(({ title }) => title === 'first').map(({ id }) => id))
        next = page.next
        // Before what was read, behind it, and right where it ends.
        for (const deadline of [new Date(0), new Date(4e12), page.rows.at(-1)?.deadline ?? null]) {
          if (seen.length < 5) await add(deadline, 'later')
        }
      } while (next !== undefined)
      expect(seen).toEqual(expected)
    },
  )

  test('of several columns go on where they ended', async () => {
    const project = await unit((here) => here.of(projects).create({ name: 'P', slug: 'mixed' }))
    const priorities = ['low', 'critical', 'medium', 'critical', 'low', 'high', 'medium'] as const
    await unit((here) =>
      here.tasks.createMany(priorities.map((priority, n) => ({ projectId: project.id, title: `T${n}`, priority }))),
    )
    const titles: string[] = []
    let after: string | undefined
    do {
      const page = await unit((here) =>
        here.tasks.list({
          where: { projectId: project.id },
          orderBy: [
            ['priorityRank', 'desc'],
            ['title', 'asc'],
          ],
          limit: 3,
          after,
        }),
      )
      titles.push(...page.rows.map(({ title }) => title))
      after = page.next
    } while (after !== undefined)
    expect(titles).toEqual(['T1', 'T3', 'T5', 'T2', 'T6', 'T0', 'T4'])
  })

  test('refuse a cursor of another order, and sizes that are none', async () => {
    const { next = '' } = await unit((here) => here.tasks.list({ limit: 1 }))
    const list = (options: object) => unit((here) => here.tasks.list(options))
    await expect(list({ after: next, orderBy: [['title', 'asc']] })).rejects.toMatchObject({ code: 'invalid_value' })
    await expect(list({ after: 'no cursor' })).rejects.toMatchObject({ code: 'invalid_value' })
    await expect(list({ limit: 0 })).rejects.toMatchObject({ code: 'invalid_value' })
    await expect(list({ limit: 1001 })).rejects.toMatchObject({ code: 'invalid_value' })
  })
})

describe('tasks', () => {
  test('that are ready come by importance and age, and are claimed in that order', async () => {
    const project = await unit((here) => here.of(projects).create({ name: 'P', slug: 'ready' }))
    const [low, high] = await unit((here) =>
      here.tasks.createMany([
        { projectId: project.id, title: 'low', priority: 'low' },
        { projectId: project.id, title: 'high', priority: 'high' },
        { projectId: project.id, title: 'later', runAfter: new Date(4e12) },
      ]),
    )
    expect((await unit((here) => here.tasks.ready(project.id))).map(({ title }) => title)).toEqual(['high', 'low'])
    const claim = () =>
      unit((here) => here.tasks.claim({ agentId: on.world.agent, projectIds: [project.id], leaseSeconds: 60 }))
    const first = await claim()
    expect(first?.task).toMatchObject({ id: high?.id, status: 'in_progress', attemptCount: 1 })
    expect(await unit((here) => here.of(taskRuns).need(first?.runId ?? ''))).toMatchObject({ taskId: high?.id })
    expect((await claim())?.task).toMatchObject({ id: low?.id })
    expect(await claim()).toBeUndefined()
  })
})

describe('usage', () => {
  test('is summed by agent and model over a time, the most expensive first', async () => {
    const used = (day: number, inputTokens: number, model = 'gpt-4') => ({
      projectId: on.world.project,
      agentId: on.world.agent,
      provider: 'openai',
      model,
      inputTokens,
      outputTokens: 1000,
      occurredAt: new Date(Date.UTC(2026, 10, day)),
    })
    await unit((here) =>
      here.usage.createMany([used(1, 9), used(2, 1000), used(3, 2000), used(3, 500, 'unpriced'), used(9, 9)]),
    )
    const totals = await unit((here) =>
      here.usage.totals(on.world.project, new Date('2026-11-02'), new Date('2026-11-09')),
    )
    expect(totals).toEqual([
      {
        agentId: on.world.agent,
        model: 'gpt-4',
        requests: 2,
        inputTokens: 3000,
        outputTokens: 2000,
        costUsd: '0.21000000',
      },
      { agentId: on.world.agent, model: 'unpriced', requests: 1, inputTokens: 500, outputTokens: 1000, costUsd: null },
    ])
  })
})

describe('the change log', () => {
  test('says what happened in a channel, and which conflicts a row has', async () => {
    const channel = `project/${on.world.project}`
    const { seq } = await unit((here) => here.sync.head())
    const { id } = await addTask()
    const changes = await unit((here) => here.sync.changes(channel, seq))
    expect(changes).toEqual([expect.objectContaining({ table: 'tasks', rowId: id, op: 'upsert', channel })])
    expect(await unit((here) => here.sync.head())).toMatchObject({ seq: changes[0]?.seq })
    const conflict = await unit((here) =>
      here.sync.create({ mutationId: id, tableName: 'tasks', rowId: id, kind: 'field', userId: on.world.user }),
    )
    expect(await unit((here) => here.sync.openConflicts('tasks', id))).toEqual([conflict.id])
  })
})

describe('an actor of another organization', () => {
  test('gets nothing of what is summed, listed or logged about a project', async () => {
    await addTask()
    const { organization } = await createWorld(on.db.database.pool)
    const { project } = on.world
    const asked = (organizationId: string) =>
      on.repositories.withUnit({ organizationId }, async ({ tasks, usage, sync }) => [
        (await tasks.ready(project, 1)).length,
        (await usage.totals(project, new Date(0), new Date())).length,
        (await sync.changes(`project/${project}`, 0, 1)).length,
      ])
    expect(await asked(organization)).toEqual([0, 0, 0])
    const own = await asked(on.world.organization)
    expect(own).toEqual([1, expect.any(Number), 1])
    expect(own[1]).toBeGreaterThan(0)
  })

  test.each([0, 1001, 1.5])('no list has %d rows', async (limit) => {
    for (const work of [
      ({ tasks }: Unit) => tasks.ready(on.world.project, limit),
      ({ sync }: Unit) => sync.changes('global', 0, limit),
      ({ tasks }: Unit) => tasks.list({ limit }),
    ])
      await expect(unit<unknown>(work)).rejects.toMatchObject({ code: 'invalid_value' })
  })
})
