import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { agentSessions } from '../../server/entities/agents/agent-sessions.ts'
import { memoryTags } from '../../server/entities/memory/memory-tags.ts'
import { askNearest } from '../../server/search/nearest.ts'
import type { Actor, Unit } from '../../server/repositories/repositories.ts'
import { createWorld } from '../migrations/rows.ts'
import { createRepositoryWorld, type RepositoryWorld } from './world.ts'

let on: RepositoryWorld
beforeAll(async () => {
  on = await createRepositoryWorld('embedded')
})
afterAll(() => on.db.close())

const unit = <T>(work: (unit: Unit) => Promise<T>): Promise<T> => on.repositories.withUnit(on.actor, work)

describe('memories', () => {
  const axis = (n: number, length = 1) =>
    Float32Array.from({ length: 384 }, (_, index) => (index === n ? length : 0.001))
  const remember = (content: string, more: object = {}) =>
    unit((here) => here.memories.create({ scope: 'organization', content, ...more }))

  test('are found by vector, by words and by both, the nearest first', async () => {
    const near = await remember('The staging deploy needs the tunnel', { embedding: axis(1) })
    const far = await remember('Support mail is answered within a day', { embedding: axis(2) })
    const words = await remember('A tunnel leads to the cellar')
    const hits = await unit((here) => here.memories.search({ embedding: axis(1), limit: 2 }))
    expect(hits.map(({ row }) => row.id)).toEqual([near.id, far.id])
    expect(hits[0]?.similarity).toBeCloseTo(1, 3)
    const said = await unit((here) => here.memories.search({ text: 'tunnels' }))
    expect(said.map(({ row }) => row.id).toSorted()).toEqual([near.id, words.id].toSorted())
    const both = await unit((here) => here.memories.search({ embedding: axis(2), text: 'mail' }))
    expect(both[0]?.row.id).toBe(far.id)
    await expect(unit((here) => here.memories.search({}))).rejects.toMatchObject({ code: 'invalid_value' })
  })

  test('are not found when expired, superseded, deleted, unsure or filtered out, and filters do not starve the result', async () => {
    const embedding = axis(7)
    const kept = await remember('kept', { embedding: axis(7, 0.2), memoryType: 'decision', tier: 'core' })
    await unit((here) => here.of(memoryTags).create({ memoryId: kept.id, tag: 'rule' }))
    for (const [n, more] of [
      { expiresAt: new Date(0) },
      { status: 'superseded' },
      { confidence: 0.1 },
      { memoryType: 'episodic' },
      ...Array.from({ length: 60 }, () => ({ tier: 'cold' })),
    ].entries())
      await remember(`other ${n}`, { embedding, memoryType: 'decision', tier: 'core', ...more })
    const search = (more: object) =>
      unit((here) =>
        here.memories.search({
          embedding,
          types: ['decision'],
          tiers: ['core'],
          minConfidence: 0.5,
          limit: 5,
          ...more,
        }),
      )
    expect((await search({})).map(({ row }) => row.id)).toEqual([kept.id])
    expect((await search({ tags: ['rule'] })).map(({ row }) => row.id)).toEqual([kept.id])
    expect(await search({ tags: ['rule', 'missing'] })).toEqual([])
    await unit((here) => here.memories.softDelete(kept.id))
    expect(await search({})).toEqual([])
  })
})

describe('a search in a unit', () => {
  const organization = (): string => on.world.organization
  const asMember = async (): Promise<{ readonly organizationId: string; readonly userId: string }> => {
    const other = await createWorld(on.db.database.pool)
    await on.db.database.pool.query(
      `insert into organization_members (organization_id, user_id, role) values ($1, $2, 'member')`,
      [organization(), other.user],
    )
    return { organizationId: organization(), userId: other.user }
  }
  const owned = {
    scope: 'user' as const,
    content: 'The passphrase is swordfish',
    embedding: new Float32Array(384).fill(1),
  }

  test('finds what its user or agent may see; one of the organization alone finds all', async () => {
    const member = await asMember()
    const mine = await unit((here) => here.memories.create({ ...owned, userId: on.world.user }))
    const entry = { entryType: 'lesson' as const, title: 'Swordfish', scope: 'user' as const, userId: on.world.user }
    await unit((here) => here.knowledge.create(entry))
    const find = async (actor: Actor) =>
      on.repositories.withUnit(actor, async ({ memories, knowledge }) => {
        const hits = await memories.search({ text: 'swordfish', embedding: owned.embedding })
        const known = await knowledge.search({ text: 'swordfish' })
        return [hits.some(({ row }) => row.id === mine.id), known.length]
      })
    expect(await find(on.actor)).toEqual([true, 1])
    expect(await find(member)).toEqual([false, 0])
    expect(await find({ organizationId: organization(), agentId: on.world.agent })).toEqual([false, 0])
    expect(await find({ organizationId: organization() })).toEqual([true, 1])
  })

  test('weighs how recent a memory is as a search of a client does', async () => {
    const old = { createdAt: new Date(Date.now() - 2000 * 86_400_000), decayRate: 1, content: 'Years ago' }
    const { id } = await unit((here) => here.memories.create({ ...owned, ...old, scope: 'organization' }))
    const weights = { similarity: 0, text: 0, importance: 0, recency: 1 }
    const hits = await unit((here) => here.memories.search({ text: 'years', weights }))
    expect(hits.find(({ row }) => row.id === id)?.score).toBeCloseTo(0, 5)
  })
})

test('what the planner took for few rows is found by the graph when it is many', async () => {
  const axis = (n: number) => Float32Array.from({ length: 384 }, (_, index) => (index === n ? 1 : 0.001))
  const made = await unit((here) =>
    here.memories.createMany(
      Array.from({ length: 8 }, (_, n) => ({
        ...{ scope: 'organization', content: `misjudged ${n}`, source: 'import', embedding: axis(20 + n) },
      })),
    ),
  )
  // True of all rows, and each taken for true of a third.
  const misjudged = Array.from({ length: 12 }, () => 't.importance + 0 > -1').join(' and ')
  const condition = `t.status = 'active' and t.deleted_at is null and ${misjudged}`
  const asked = { table: 'memories', column: 'embedding', condition, values: [], vector: axis(27), limit: 1 }
  const steps: number[] = []
  const found = await unit(({ query }) =>
    askNearest(
      query,
      asked,
      async ({ text, values }) => {
        const rows = await query<{ readonly id: string }>({ text, values })
        steps.push(rows.length)
        return { answer: rows.map(({ id }) => id), near: rows.length }
      },
      { exactRows: 1 },
    ),
  )
  // Five are one more than the planner may be wrong by; then the graph is asked for one.
  expect([found, steps]).toEqual([[made[7]?.id], [5, 1]])
})

describe('what is like something', () => {
  const axis = (n: number) => Float32Array.from({ length: 384 }, (_, index) => Number(index === n))

  test('is found among the contexts of a session, by vector and by words, unless it has expired', async () => {
    const agentId = on.world.agent
    const [session, other] = await unit((here) => here.of(agentSessions).createMany([{ agentId }, { agentId }]))
    const context = (content: string, n: number, more: object = {}) =>
      unit((here) =>
        here.contexts.create({
          ...{ agentId, sessionId: session?.id ?? '', embedding: axis(n), embeddingModel: 'test', content },
          ...more,
        }),
      )
    const near = await context('The tunnel is down', 3)
    const far = await context('Lunch', 4)
    await context('The tunnel of another session', 3, { sessionId: other?.id })
    await context('The tunnel of yesterday', 3, { expiresAt: new Date(0) })
    const similar = async (asked: object) => {
      const hits = await unit((here) => here.contexts.similar({ sessionId: session?.id ?? '', ...asked }))
      return hits.map(({ row }) => row.id)
    }
    expect(await similar({ embedding: axis(3) })).toEqual([near.id, far.id])
    expect(await similar({ text: 'tunnels' })).toEqual([near.id])
    expect(await similar({ embedding: axis(3), types: ['task'] })).toEqual([])
  })

  test('is found among the patterns, by vector, by words and by what looks like the name, unless it is deprecated', async () => {
    const pattern = (name: string, n: number, more: object = {}) =>
      unit((here) => here.patterns.create({ name, kind: 'code', embedding: axis(n), ...more }))
    const near = await pattern('Retry with backoff', 5, { solution: 'Double the pause after each failure' })
    const far = await pattern('Bulkhead', 6, { tags: ['isolation'] })
    await pattern('Retry for ever', 5, { status: 'deprecated' })
    const similar = async (asked: object) => {
      const hits = await unit((here) => here.patterns.similar(asked))
      return hits.map(({ row }) => row.id)
    }
    expect(await similar({ embedding: axis(5) })).toEqual([near.id, far.id])
    expect(await similar({ embedding: axis(5), tags: ['isolation'] })).toEqual([far.id])
    expect(await similar({ text: 'pauses' })).toEqual([near.id])
    expect(await similar({ text: 'bulkheads' })).toEqual([far.id])
    expect(await similar({ text: 'retri with backof' })).toEqual([near.id])
  })
})

describe('knowledge', () => {
  test('is found while it is current, with its former contents behind it', async () => {
    const adr = (content: string, more: object) => ({
      scope: 'organization' as const,
      entryType: 'adr' as const,
      title: 'Capture',
      tags: ['db'],
      content,
      ...more,
    })
    const entry = await unit(async ({ knowledge }) => {
      const former = await knowledge.create(adr('By trigger', { isCurrent: false }))
      return knowledge.create(adr('By the write-ahead log', { previousVersionId: former.id }))
    })
    const search = (text: string) => unit((here) => here.knowledge.search({ text, entryTypes: ['adr'], tags: ['db'] }))
    expect((await search('ahead')).map(({ row }) => row.id)).toEqual([entry.id])
    expect(await search('trigger')).toEqual([])
    const history = await unit((here) => here.knowledge.history(entry.id))
    expect(history.map(({ content }) => content)).toEqual(['By the write-ahead log', 'By trigger'])
  })
})
