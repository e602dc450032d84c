// The same call, here and on the server, over the same rows.
import { afterAll, beforeAll, expect, test } from 'vitest'
import { lexemesOf, startOf } from '../../client-sdk/search/lexemes.ts'
import { search, type SearchRequest } from '../../client-sdk/search/search.ts'
import { createMemoryStore } from '../../client-sdk/store/memory-store.ts'
import { shippedSchema } from '../../client-sdk/schema.generated.ts'
import { seededRandom } from '../../lib/random.ts'
import { parseDown } from '../../protocol/parse.ts'
import { vectorToBase64 } from '../../protocol/rows/base64.ts'
import type { Filter } from '../../protocol/rows/filter.ts'
import { loadCatalog } from '../../server/catalog/catalog.ts'
import { insertRow } from '../../server/db/insert-row.ts'
import { rawRows, selectList, toRow } from '../../server/db/row-codec.ts'
import { createSearch } from '../../server/search/search.ts'
import { newId, seedDevice, seedFixture } from '../support/fixtures.ts'
import { openScopeFeed } from '../support/scope-feed.ts'

let scope: Awaited<ReturnType<typeof openScopeFeed>>
let both: Awaited<ReturnType<typeof world>>
beforeAll(async () => {
  scope = await openScopeFeed()
  both = await world()
})
afterAll(() => scope.close())

const random = seededRandom(20)
const oneOf = <T>(...choices: readonly [T, ...T[]]): T =>
  choices[Math.floor(random.next() * choices.length)] ?? choices[0]
const vector = (): Float32Array => Float32Array.from({ length: 384 }, () => random.next() - 0.5)
const sentence = (): string =>
  Array.from({ length: 4 }, () =>
    oneOf('VPN', 'deploy', 'deploying', 'redeployed', 'camels', 'tents', 'the lamp', '50%', 'tent-like', 'node.js'),
  ).join(' ')

const catalog = loadCatalog()
const table = shippedSchema.memories

async function world() {
  const { pool } = scope.db.database
  const { organizationId, projectId, memberId } = await seedFixture(pool)
  const principal = await seedDevice(pool, { organizationId, kind: 'user', id: memberId })
  const server = createSearch({ pool, catalog })
  const known = [vector(), vector(), new Float32Array(384)]
  for (let row = 0; row < 80; row++) {
    const embedding = oneOf<Float32Array | null>(vector(), vector(), null, oneOf(...(known as [Float32Array])))
    await insertRow(pool, 'memories', {
      id: newId(),
      organization_id: organizationId,
      scope: 'project',
      project_id: projectId,
      title: oneOf(null, sentence()),
      content: sentence(),
      importance: random.next().toFixed(3),
      embedding: embedding && JSON.stringify([...embedding]),
      embedding_model: embedding && oneOf('small', 'large'),
      memory_type: oneOf('semantic', 'episodic'),
      status: oneOf('active', 'active', 'active', 'archived'),
      expires_at: oneOf(null, null, null, '2026-01-01T00:00:00Z', '2126-01-01T00:00:00Z'),
      deleted_at: oneOf(null, null, null, null, '2026-01-01T00:00:00Z'),
    })
  }
  const synced = catalog.byName.get('memories')
  if (synced === undefined) throw new Error('There are no memories.')
  const { rows } = await pool.query<string[]>({
    text: `select ${selectList(synced, { embeddings: true })} from memories where organization_id = $1`,
    values: [organizationId],
    ...rawRows,
  })
  const store = createMemoryStore(shippedSchema)
  await store.commit({ rows: [{ table: 'memories', upserts: rows.map((raw) => toRow(synced, raw)), deletes: [] }] })
  const local = (request: SearchRequest) =>
    search(
      table,
      { ...request, mode: 'local' },
      {
        now: () => Date.now(),
        isOnline: () => false,
        isCurrent: () => false,
        owner: () => null,
        ownVersions: async () => new Map(),
        heldSubscriptions: () => [],
        nearest: (name, asked) => store.nearest(name, asked),
        find: (name, where, limit) => store.query(name, { where, limit, orderBy: [{ id: 'asc' }] }),
        ask: () => Promise.reject(new Error('It asks the server.')),
      },
    )
  const remote = async ({ text, embedding, where, limit }: SearchRequest) => {
    const frame = await server.search(principal, {
      type: 'search',
      ref: 1,
      table: 'memories',
      limit: limit ?? 10,
      ...(text === undefined ? {} : { text }),
      ...(embedding === undefined ? {} : { embedding: vectorToBase64(Float32Array.from(embedding)) }),
      ...(where === undefined ? {} : { where }),
    })
    const { message } = parseDown(frame)
    if (message.type !== 'found') throw new Error('This is no answer to a search.')
    return message.hits
  }
  return { local, remote, known }
}

const filters: readonly [Filter, ...Filter[]] = [
  {},
  { memoryType: 'semantic' },
  { status: { in: ['active', 'archived'] } },
  { not: { embeddingModel: 'large' } },
  { importance: { gte: 0.4 } },
]

test('a search by vector finds the same rows in the same order with the same scores, here and there', async () => {
  const { local, remote, known } = both
  for (let round = 0; round < 25; round++) {
    const request = {
      embedding: oneOf(vector(), known[0] ?? vector()),
      where: oneOf(...filters),
      limit: oneOf(1, 7, 200),
    }
    const [mine, theirs] = [await local(request), await remote(request)]
    expect(mine.map(({ row }) => row['id'])).toEqual(theirs.map(({ id }) => id))
    for (const [index, hit] of mine.entries()) expect(hit.score).toBeCloseTo(theirs[index]?.score ?? NaN, 5)
  }
})

test('a search by words, alone or with a vector, finds the same rows, and weighs their worth alike', async () => {
  const { local, remote } = both
  for (let round = 0; round < 15; round++) {
    const text = oneOf(
      'camel',
      'the lamps, VPN!',
      'deployed tent',
      ' Vpn ',
      'tents-like',
      'Node.js',
      'ploy',
      'the',
      'node',
    )
    const words = { text, where: oneOf(...filters), limit: 200 }
    const near = { ...words, embedding: vector() }
    const ids = async (request: SearchRequest): Promise<readonly [readonly string[], readonly string[]]> => [
      (await local(request)).map(({ row }) => String(row['id'])).toSorted(),
      (await remote(request)).map(({ id }) => id).toSorted(),
    ]
    for (const request of [words, near]) {
      const [mine, theirs] = await ids(request)
      expect(mine).toEqual(theirs)
    }
    const theirs = new Map((await remote(near)).map((hit) => [hit.id, hit.parts]))
    for (const { row, parts } of await local(near)) {
      const there = theirs.get(String(row['id'])) ?? {}
      for (const name of ['vector', 'importance', 'recency']) expect(parts[name] ?? 0).toBeCloseTo(there[name] ?? 0, 4)
      expect('text' in parts).toBe((there['text'] ?? 0) > 0)
    }
  }
})

test('a row whose vector has no direction is never near, and a question without one is refused', async () => {
  const { remote } = both
  for (const { score } of await remote({ embedding: vector(), limit: 200 })) expect(score).toBeGreaterThanOrEqual(-1)
  await expect(remote({ embedding: new Float32Array(384) })).rejects.toMatchObject({ code: 'invalid_value' })
  await expect(remote({ text: ' ' })).rejects.toMatchObject({ code: 'invalid_value' })
})

const roots =
  'add ador analog arsen bl boy cann ceas commun confirm control deploy di depend effect egg electr enjoy exceed fe gener happ hop hopp iz inn ly mov news off ' +
  'oper organ out proceed radic rat relat sens sk succeed therap triplic univers vil y yell'
const endings =
  ' s ss sses ies ied us e ed edly ing ingly eed eedly y ly ily ational tional ency ancy ably ently izer ization ation ator alism ality ally fulness ously ' +
  'ousness iveness ivity bility bly ology ogist fully lessly icate ative alize icity ical ful ness ance ence er able ible ant ement ment ism ous ive ize sion'

test('words have the stems that Postgres gives them, and a search begins with a part that all words of a stem have', async () => {
  const words = roots
    .split(' ')
    .flatMap((root) => endings.split(' ').flatMap((end) => [root + end, `${root}${end}s`, `${root}${end}ly`]))
  const { rows } = await scope.db.database.pool.query<{ word: string; stems: readonly string[] }>(
    `select word, ts_lexize('english_stem', word) as stems from unnest($1::text[]) as word`,
    [words],
  )
  expect(rows).toHaveLength(words.length)
  expect(rows.filter(({ word, stems }) => [...lexemesOf(word)].join() !== stems.join())).toEqual([])
  for (const { word, stems } of rows) for (const stem of stems) expect(word).toContain(startOf(stem))
})

test.each([
  'Adding two dying camels to the kind-hearted caravan: it is up-to-date!',
  "They don't know O'Neil, e.g. of the U.S.A., and/or his naïve café in der STRASSE.",
  'foo_bar of src/index.ts, node.js v1.2.3 and a.b@c.org; 3.14 of 50% in 2026-11-22 at 12:30, covid-19, 3rd a12.',
])('a text is found by the lexemes that Postgres indexes: %s', async (text) => {
  const { rows } = await scope.db.database.pool.query<{ lexemes: readonly string[] }>(
    `select tsvector_to_array(to_tsvector('english', $1)) as lexemes`,
    [text],
  )
  expect([...lexemesOf(text)].toSorted()).toEqual(rows[0]?.lexemes.toSorted())
})
