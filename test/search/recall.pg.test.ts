// Vector search finds the true nearest neighbours among many rows: through the index, and by comparing one by one.
import { afterAll, beforeAll, expect, test } from 'vitest'
import { seededRandom } from '../../lib/random.ts'
import { parseDown } from '../../protocol/parse.ts'
import { vectorToBase64 } from '../../protocol/rows/base64.ts'
import type { Filter } from '../../protocol/rows/filter.ts'
import { loadCatalog } from '../../server/catalog/catalog.ts'
import { createSearch, type Search } from '../../server/search/search.ts'
import type { DevicePrincipal } from '../../server/scope/principal.ts'
import { seedDevice, seedFixture } from '../support/fixtures.ts'
import { createRepositories } from '../../server/repositories/repositories.ts'
import { openScopeFeed } from '../support/scope-feed.ts'

const rows = 10_000
const dimension = 384
const limit = 10

let scope: Awaited<ReturnType<typeof openScopeFeed>>
/** As it is, which compares so many rows one by one, and by the graph alone. */
let search: Search
let byGraph: Search
let principal: DevicePrincipal
/** By number of the memory. */
const vectors: Float32Array[] = []
const random = seededRandom(7)

/** Texts of some subjects lie near each other, as embeddings of a language do. */
const subjects = Array.from({ length: 40 }, () => direction())
function direction(): Float32Array {
  return Float32Array.from({ length: dimension }, () => random.next() + random.next() + random.next() - 1.5)
}
function near(subject: Float32Array): Float32Array {
  const noise = direction()
  return subject.map((value, index) => value + 0.8 * (noise[index] ?? 0))
}
function subjectOf(number: number): Float32Array {
  return subjects[number % subjects.length] ?? direction()
}

beforeAll(async () => {
  scope = await openScopeFeed('postgres')
  const { pool } = scope.db.database
  search = createSearch({ pool, catalog: loadCatalog() })
  byGraph = createSearch({ pool, catalog: loadCatalog(), exactRows: 0 })
  const { organizationId, memberId, projectId } = await seedFixture(pool)
  principal = await seedDevice(pool, { organizationId, kind: 'user', id: memberId })
  for (let number = 0; number < rows; number++) vectors.push(near(subjectOf(number)))
  // Built afterwards, as it is, which takes a tenth of the time.
  const { rows: indexes } = await pool.query<{ definition: string }>(
    `select pg_get_indexdef('memories_embedding_hnsw'::regclass) as definition`,
  )
  await pool.query('drop index memories_embedding_hnsw')
  const step = 500
  for (let first = 0; first < rows; first += step) {
    const texts = vectors.slice(first, first + step).map((vector) => JSON.stringify([...vector]))
    await pool.query(
      `insert into memories (organization_id, scope, project_id, user_id, content, memory_type, tier, entities, embedding)
       select $1, case when n % 4 = 0 then 'user' else 'project' end, $2, $3, 'Memory ' || n,
         case when n % 5 = 0 then 'episodic' else 'semantic' end, case when n % 3 = 0 then 'hot' else 'warm' end,
         array['tag' || n % 7], vector::vector
       from (select $4::int + ordinality::int - 1 as n, vector from unnest($5::text[]) with ordinality as v(vector)) all_rows`,
      [organizationId, projectId, memberId, first, texts],
    )
  }
  await pool.query(indexes[0]?.definition ?? '')
  await pool.query('analyze memories')
}, 600_000)
afterAll(() => scope.close())

const byNumber = (a: number, b: number): number => a - b

function cosine(a: Float32Array, b: Float32Array): number {
  let [dot, aa, bb] = [0, 0, 0]
  for (const [index, x] of a.entries()) {
    const y = b[index] ?? 0
    dot += x * y
    aa += x * x
    bb += y * y
  }
  return dot / Math.sqrt(aa * bb)
}

/** The numbers of the nearest, by comparing with each. */
function nearest(
  candidates: readonly { readonly vector: Float32Array; readonly number: number }[],
  vector: Float32Array,
): readonly number[] {
  return candidates
    .map(({ vector: other, number }) => ({ number, score: cosine(vector, other) }))
    .toSorted((a, b) => b.score - a.score)
    .slice(0, limit)
    .map(({ number }) => number)
}

async function found(by: Search, vector: Float32Array, where: Filter): Promise<readonly number[]> {
  const request = {
    type: 'search',
    ref: 1,
    table: 'memories',
    embedding: vectorToBase64(vector),
    where,
    limit,
  } as const
  const { message } = parseDown(await by.search(principal, request))
  if (message.type !== 'found') throw new Error('This is no answer to a search.')
  const ids = message.hits.map((hit) => hit.id)
  const { rows: contents } = await scope.db.database.pool.query<{ content: string }>(
    'select content from memories where id = any($1::uuid[])',
    [ids],
  )
  return contents.map(({ content }) => Number(content.slice('Memory '.length)))
}

test.each<readonly [string, Filter, (number: number) => boolean]>([
  ['everything', {}, () => true],
  ['a scope', { scope: 'user' }, (n) => n % 4 === 0],
  ['a type', { memoryType: 'episodic' }, (n) => n % 5 === 0],
  ['a tier', { tier: 'hot' }, (n) => n % 3 === 0],
  ['a tag', { entities: { contains: 'tag3' } }, (n) => n % 7 === 3],
  [
    'all of these',
    { scope: 'user', memoryType: 'episodic', tier: 'hot', entities: { contains: 'tag3' } },
    (n) => n % 60 === 0 && n % 7 === 3,
  ],
])(
  'nine and a half of the ten nearest are found by the graph, and all of them by comparing, filtered by %s',
  async (_, where, matches) => {
    const candidates = vectors.flatMap((vector, number) => (matches(number) ? [{ vector, number }] : []))
    let hits = 0
    const questions = 20
    for (let question = 0; question < questions; question++) {
      const vector = near(subjectOf(question))
      const truth = nearest(candidates, vector)
      expect((await found(search, vector, where)).toSorted(byNumber)).toEqual(truth.toSorted(byNumber))
      const answer = await found(byGraph, vector, where)
      expect(answer).toHaveLength(limit)
      hits += truth.filter((number) => answer.includes(number)).length
    }
    expect(hits / (questions * limit)).toBeGreaterThanOrEqual(0.95)
  },
)

test('the ten nearest of a tag, as devices tag memories, are found by a repository, and fill the limit', async () => {
  const { database } = scope.db
  await database.pool.query(
    `insert into memory_tags (organization_id, memory_id, tag) select organization_id, id, 'seventh' from memories where entities = '{tag3}'`,
  )
  const { organizationId, id: userId } = principal
  const repositories = createRepositories({ database, catalog: loadCatalog() })
  const candidates = vectors.flatMap((vector, number) => (number % 7 === 3 ? [{ vector, number }] : []))
  let hits = 0
  const questions = 10
  for (let question = 0; question < questions; question++) {
    const vector = near(subjectOf(question))
    const truth = nearest(candidates, vector)
    const answer = await repositories.withUnit({ organizationId, userId }, ({ memories }) =>
      memories.search({ embedding: vector, tags: ['seventh'], limit }),
    )
    const numbers = answer.map(({ row }) => Number(row.content.slice('Memory '.length)))
    expect(numbers).toHaveLength(limit)
    hits += truth.filter((number) => numbers.includes(number)).length
  }
  expect(hits / (questions * limit)).toBeGreaterThanOrEqual(0.95)
})
