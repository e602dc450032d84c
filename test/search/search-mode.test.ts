import { describe, expect, test } from 'vitest'
import { shippedSchema } from '../../client-sdk/schema.generated.ts'
import { search, type SearchRequest, type SearchSource } from '../../client-sdk/search/search.ts'
import type { Subscription } from '../../protocol/messages/subscription.ts'
import type { Filter } from '../../protocol/rows/filter.ts'
import { namesColumn } from '../../protocol/rows/search-rank.ts'
import { newId } from '../support/fixtures.ts'

const [organizationId, userId, projectId] = [newId(), newId(), newId()]
const embedding = Float32Array.from({ length: 384 }, () => 1)

function held(channel: string, more: Partial<Subscription> = {}): Subscription {
  return { id: newId(), channel, embeddings: true, ...more }
}

function sourceOf(subscriptions: readonly Subscription[], source: Partial<SearchSource>): SearchSource {
  return {
    now: () => 0,
    isOnline: () => true,
    isCurrent: () => true,
    owner: () => ({ organizationId, principal: { kind: 'user', id: userId } }),
    heldSubscriptions: () => subscriptions,
    nearest: async () => [],
    find: async () => [],
    ask: async () => ({ rows: [], hits: [] }),
    ownVersions: async () => new Map(),
    ...source,
  }
}

/** Searches memories, online unless said otherwise; answers where. */
async function modeOf(
  request: SearchRequest,
  subscriptions: readonly Subscription[],
  source: Partial<SearchSource> = {},
): Promise<{ readonly mode: string; readonly complete: boolean }> {
  const { mode, complete } = await search(shippedSchema.memories, request, sourceOf(subscriptions, source))
  return { mode, complete }
}

const here = { mode: 'local', complete: true }
const there = { mode: 'server', complete: true }

describe('a search by vector whose place is left to the SDK', () => {
  const all = [held(`organization/${organizationId}`), held(`user/${userId}`), held(`project/${projectId}`)]

  test.each<[string, Filter]>([
    ['a channel', { channel: `project/${projectId}` }],
    ['a scope by id', { scope: 'project', projectId }],
    ['the own organization', { scope: 'organization' }],
    ['the own organization by id', { scope: 'organization', organizationId }],
    ['what is private to the own user', { scope: 'user', memoryType: 'semantic' }],
  ])('is here when it asks for %s, all of which is here', async (_, where) => {
    expect(await modeOf({ embedding, where }, all)).toEqual(here)
    expect(await modeOf({ embedding, where }, [])).toEqual(there)
  })

  test.each<[string, Filter | undefined]>([
    ['everything', undefined],
    ['what may be anywhere', { memoryType: 'semantic' }],
    ['agents of the own user, whichever they are', { scope: 'agent' }],
    ['one or the other', { or: [{ scope: 'organization' }, { scope: 'user' }] }],
    ['another project', { scope: 'project', projectId: newId() }],
  ])('is on the server when it asks for %s', async (_, where) => {
    expect(await modeOf({ embedding, ...(where === undefined ? {} : { where }) }, all)).toEqual(there)
  })

  test.each<[string, Partial<Subscription>]>([
    ['without vectors', { embeddings: false }],
    ['with some of its rows', { where: { memories: { status: 'active' } } }],
    ['with other tables', { tables: ['tasks'] }],
  ])('is on the server when the channel is followed %s', async (_, how) => {
    const where = { scope: 'project', projectId }
    expect(await modeOf({ embedding, where }, [held(`project/${projectId}`, how)])).toEqual(there)
  })

  test('is here when offline, and never says that this is all', async () => {
    const offline = { isOnline: () => false, isCurrent: () => false }
    const some = { mode: 'local', complete: false }
    expect(await modeOf({ embedding, where: { scope: 'organization' } }, all, offline)).toEqual(some)
    expect(await modeOf({ embedding }, all, offline)).toEqual(some)
  })

  test('is on the server while this replica may be behind; here only when told to, without a claim', async () => {
    const stale = { isCurrent: () => false }
    const where = { scope: 'organization' }
    expect(await modeOf({ embedding, where }, all, stale)).toEqual(there)
    expect(await modeOf({ embedding, where, mode: 'local' }, all, stale)).toEqual({ mode: 'local', complete: false })
    expect(await modeOf({ embedding, where, mode: 'local' }, all)).toEqual(here)
  })

  test('is on the server when nobody knows whose replica this is', async () => {
    expect(await modeOf({ embedding, where: { scope: 'organization' } }, all, { owner: () => null })).toEqual(there)
  })
})

test('words are looked for on the server, which knows their stems; here only when offline or told to, without a claim', async () => {
  const where = { scope: 'organization' }
  const all = [held(`organization/${organizationId}`)]
  expect(await modeOf({ text: 'vpn', where }, all)).toEqual(there)
  expect(await modeOf({ text: 'vpn', embedding, where }, all)).toEqual(there)
  expect(await modeOf({ text: 'vpn', where, mode: 'local' }, all)).toEqual({ mode: 'local', complete: false })
  expect(await modeOf({ text: ' ', embedding, where }, all)).toEqual(here)
})

test.each<[string, SearchRequest]>([
  ['no limit', { embedding, limit: 0 }],
  ['a limit that the server would refuse', { embedding, limit: 201 }],
  ['half a limit', { embedding, limit: 1.5 }],
  ['blank text', { text: '  ' }],
  ['nothing to search by', {}],
  ['a vector without direction', { embedding: new Float32Array(384) }],
  ['a vector of another length', { embedding: [1, 2] }],
])('%s is refused before anybody is asked', async (_, request) => {
  const asked = { ask: () => Promise.reject(new Error('asked')) }
  await expect(modeOf(request, [], asked)).rejects.toMatchObject({ code: 'invalid_value' })
})

test('only rows of one model are compared when it is named', async () => {
  const seen: unknown[] = []
  const ask: SearchSource['ask'] = async ({ where }) => {
    seen.push(where)
    return { rows: [], hits: [] }
  }
  await modeOf({ embedding, model: 'm', where: { memoryType: 'semantic' } }, [], { ask })
  expect(seen).toEqual([{ and: [{ memoryType: 'semantic' }, { embeddingModel: 'm' }] }])
})

test('a filter names a column by a comparison, not by a value', () => {
  expect(namesColumn({ or: [{ not: { status: 'active' } }] }, 'status')).toBe(true)
  expect(namesColumn({ title: 'status', metadata: { contains: { status: 1 } } }, 'status')).toBe(false)
})

test('what the server found is shown as this device has written it, and not at all where it was deleted here', async () => {
  const [mine, gone, other] = [newId(), newId(), newId()]
  const hit = (id: string) => ({ id, score: 1, parts: {} })
  const found = await search(
    shippedSchema.memories,
    { text: 'plan', mode: 'server' },
    sourceOf([], {
      ask: async () => ({
        rows: [mine, gone, other].map((id) => ({ id, content: 'as the server has it' })),
        hits: [hit(mine), hit(gone), hit(other)],
      }),
      ownVersions: async () =>
        new Map([
          [mine, { id: mine, content: 'as it was written here' }],
          [gone, null],
        ]),
    }),
  )
  expect(found.map(({ row }) => [row['id'], row['content']])).toEqual([
    [mine, 'as it was written here'],
    [other, 'as the server has it'],
  ])
})
