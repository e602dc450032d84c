// Words and vectors together: what has no embedding is found by its words, and what may not be found never is.
import { afterAll, beforeAll, expect, test } from 'vitest'
import { parseDown } from '../../protocol/parse.ts'
import { vectorToBase64 } from '../../protocol/rows/base64.ts'
import { insertRow } from '../../server/db/insert-row.ts'
import { loadCatalog } from '../../server/catalog/catalog.ts'
import { createSearch } from '../../server/search/search.ts'
import { newId, seedDevice, seedFixture } from '../support/fixtures.ts'
import { openScopeFeed } from '../support/scope-feed.ts'

let scope: Awaited<ReturnType<typeof openScopeFeed>>
beforeAll(async () => {
  scope = await openScopeFeed()
})
afterAll(() => scope.close())

const axis = (number: number): Float32Array =>
  Float32Array.from({ length: 384 }, (_, index) => Number(index === number))
const toText = (vector: Float32Array): string => JSON.stringify([...vector])

async function world() {
  const { pool } = scope.db.database
  const it = await seedFixture(pool)
  const { organizationId, projectId, memberId } = it
  const principal = await seedDevice(pool, { organizationId, kind: 'user', id: memberId })
  const search = createSearch({ pool, catalog: loadCatalog() })
  const names = new Map<string, string>()
  return {
    ...it,
    add: async (name: string, row: Readonly<Record<string, unknown>> = {}): Promise<string> => {
      const id = newId()
      names.set(id, name)
      const values = { id, organization_id: organizationId, scope: 'project', project_id: projectId, content: name }
      await insertRow(pool, 'memories', { ...values, ...row })
      return id
    },
    find: async (asked: { readonly text?: string; readonly embedding?: string; readonly where?: object }) => {
      const request = { type: 'search', ref: 1, table: 'memories', limit: 20, ...asked } as const
      const { message } = parseDown(await search.search(principal, request as Parameters<typeof search.search>[1]))
      if (message.type !== 'found') throw new Error('This is no answer to a search.')
      return message.hits.map(({ id, score, parts }) => ({ name: names.get(id), score, parts }))
    },
  }
}

test('a row without an embedding is ranked by its words among those that are near', async () => {
  const { add, find } = await world()
  await add('Nothing of the kind', { embedding: toText(axis(0)) })
  await add('The staging deploy needs the VPN')
  await add('The staging deploy needs the VPN, and is near', { embedding: toText(axis(1)) })
  await add('Far away', { embedding: toText(axis(2)), importance: 0 })
  const ask = { text: 'staging deploy', embedding: vectorToBase64(axis(1)) }
  const found = await find(ask)
  expect(found.map(({ name }) => name)).toEqual([
    'The staging deploy needs the VPN, and is near',
    'The staging deploy needs the VPN',
    'Nothing of the kind',
    'Far away',
  ])
  const [best, byWords] = found
  expect(best?.parts).toMatchObject({
    vector: 1,
    importance: 0.5,
    recency: expect.closeTo(1, 2),
    text: expect.any(Number),
  })
  expect(byWords?.parts['vector']).toBeUndefined()
  expect(byWords?.parts['text']).toBeGreaterThan(0)
  for (const { score, parts } of found) {
    const { vector = 0, text = 0, importance = 0, recency = 0 } = parts
    expect(score).toBeCloseTo(0.55 * vector + 0.2 * text + 0.15 * importance + 0.1 * recency, 5)
  }
  const byWordsAlone = await find({ text: 'staging deploy' })
  expect(new Set(byWordsAlone.map(({ name }) => name))).toEqual(
    new Set(['The staging deploy needs the VPN', 'The staging deploy needs the VPN, and is near']),
  )
})

test('a part of a word is found where there is room beside those that have the words', async () => {
  const { add, find } = await world()
  await add('The pump failed with E4711-B')
  await add('4711 is a number')
  expect((await find({ text: '4711' })).map(({ name }) => name)).toEqual([
    '4711 is a number',
    'The pump failed with E4711-B',
  ])
})

test('what has expired, was superseded, archived or deleted, or is of others, is never found', async () => {
  const { add, find, ownerId } = await world()
  const stranger = await world()
  const embedding = toText(axis(1))
  const old = await add('deploy, superseded', { embedding })
  await add('deploy, found', { embedding, supersedes_id: old })
  await add('deploy, expired', { embedding, expires_at: '2026-11-22T00:00:00Z' })
  await add('deploy, archived', { embedding, status: 'archived' })
  await add('deploy, deleted', { embedding, deleted_at: '2026-11-22T00:00:00Z' })
  await add('deploy, of the owner alone', { embedding, scope: 'user', user_id: ownerId })
  await stranger.add('deploy, of another organization', { embedding })
  const vector = vectorToBase64(axis(1))
  for (const ask of [{ text: 'deploy' }, { embedding: vector }, { text: 'deploy', embedding: vector }])
    expect((await find(ask)).map(({ name }) => name)).toEqual(['deploy, found'])
  expect((await find({ text: 'deploy', where: { status: 'superseded' } })).map(({ name }) => name)).toEqual([
    'deploy, superseded',
  ])
})

test('a memory that was of no use for years is found all the same', async () => {
  const { add, find } = await world()
  const created_at = new Date(Date.now() - 2000 * 86_400_000)
  await add('The first deploy', { created_at, decay_rate: 1, is_pinned: true, embedding: toText(axis(1)) })
  const [found] = await find({ text: 'deploy', embedding: vectorToBase64(axis(1)) })
  expect(found).toMatchObject({ name: 'The first deploy', parts: { recency: expect.closeTo(0, 5) } })
})
