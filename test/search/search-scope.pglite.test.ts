// A search finds what the principal may follow, no more and no less: the same rows that their channels carry.
import { afterAll, beforeAll, expect, test } from 'vitest'
import { seededRandom } from '../../lib/random.ts'
import { parseDown } from '../../protocol/parse.ts'
import { loadCatalog } from '../../server/catalog/catalog.ts'
import { createSearch } from '../../server/search/search.ts'
import { seedDevice, seedFixture } from '../support/fixtures.ts'
import { rowsOfBlocks } from '../support/page-rows.ts'
import { openScopeFeed } from '../support/scope-feed.ts'
import { populate } from '../scope/populate.ts'

const catalog = loadCatalog()
/** Tables whose rows guests find, or that hang under such or other rows, with a word that all rows made here have. */
const words = { projects: 'N', conversations: 'C', messages: 'hello', memories: 'remember' }

let scope: Awaited<ReturnType<typeof openScopeFeed>>
beforeAll(async () => {
  scope = await openScopeFeed()
})
afterAll(() => scope.close())

test.each([1, 2])('a search finds exactly what the channels of the principal carry (seed %i)', async (seed) => {
  const { db, feed } = scope
  const { pool } = db.database
  const it = await seedFixture(pool)
  const { organizationId } = it
  const { users, agents } = await populate(pool, it, seededRandom(seed))
  const search = createSearch({ pool, catalog })
  const guests = new Set<string>()
  for (const [kind, id] of [
    ...users.map((id) => ['user', id] as const),
    ...agents.map((id) => ['agent', id] as const),
  ]) {
    const principal = await seedDevice(pool, { organizationId, kind, id })
    const { access } = await feed.access(principal)
    for (const [table, text] of Object.entries(words)) {
      const expected = new Set<string>()
      for (const channel of access.channels.keys()) {
        const selection = { organizationId, channel, tables: [table], where: {}, embeddings: false }
        const page = await feed.page({ selection, after: null, maxRows: 10_000, maxBytes: 100_000_000 })
        for (const { row } of rowsOfBlocks(catalog, page.blocks)) {
          expected.add(String(row['id']))
          if (!access.channels.has(String(row['channel']))) guests.add(table)
        }
      }
      // Its name has none of the words.
      expected.delete(it.projectId)
      const frame = await search.search(principal, { type: 'search', ref: 1, table, text, limit: 100 })
      const { message } = parseDown(frame)
      const found = message.type === 'found' ? message.hits.map((hit) => hit.id) : []
      expect([kind, table, found.toSorted()]).toEqual([kind, table, [...expected].toSorted()])
    }
  }
  // Otherwise nobody found anything as a guest.
  expect([...guests]).toEqual(expect.arrayContaining(['conversations', 'messages']))
})
