// Where rows belong is told twice: by the server in SQL, by a replica from the rows that it holds. Both must agree.
import { afterAll, beforeAll, expect, test } from 'vitest'
import { compileHolds, compileReach, tablesOf, type Here } from '../../client-sdk/store/holding.ts'
import { seededRandom } from '../../lib/random.ts'
import type { Row } from '../../protocol/rows/row.ts'
import { loadCatalog } from '../../server/catalog/catalog.ts'
import { seedFixture } from '../support/fixtures.ts'
import { rowsOfBlocks } from '../support/page-rows.ts'
import { openScopeFeed } from '../support/scope-feed.ts'
import { populate } from './populate.ts'

const catalog = loadCatalog()
const tables = tablesOf(catalog.schema)
const travelling = [...tables.values()].filter(({ direction }) => direction !== 'up').map(({ name }) => name)

let scope: Awaited<ReturnType<typeof openScopeFeed>>
beforeAll(async () => {
  scope = await openScopeFeed()
})
afterAll(() => scope.close())

/** By SQL table name, then id. */
type Rows = ReadonlyMap<string, ReadonlyMap<string, Row>>

/** What a replica that follows the channel is sent. */
async function carried(organizationId: string, channel: string): Promise<Rows> {
  const selection = { organizationId, channel, tables: travelling, where: {}, embeddings: false }
  const page = await scope.feed.page({ selection, after: null, maxRows: 10_000, maxBytes: 100_000_000 })
  expect(page.next).toBeNull()
  const all = new Map<string, Map<string, Row>>()
  for (const { table, row } of rowsOfBlocks(catalog, page.blocks)) {
    const rows = all.get(table) ?? new Map<string, Row>()
    all.set(table, rows.set(String(row['id']), row))
  }
  return all
}

function union(parts: Iterable<Rows>): Map<string, Map<string, Row>> {
  const all = new Map<string, Map<string, Row>>()
  for (const part of parts)
    for (const [table, rows] of part) all.set(table, new Map([...(all.get(table) ?? []), ...rows]))
  return all
}

test.each([1, 2, 3, 4])('a replica tells of each row which of its channels carry it (seed %i)', async (seed) => {
  const random = seededRandom(seed)
  const it = await seedFixture(scope.db.database.pool)
  const { organizationId } = it
  const { users, agents, teams, projects } = await populate(scope.db.database.pool, it, random)
  const guests = [
    ...users.map((id) => `user/${id}`),
    ...agents.map((id) => `agent/${id}`),
    ...teams.map((id) => `team/${id}`),
  ]
  const others = [`organization/${organizationId}`, ...projects.map((id) => `project/${id}`), 'global']
  const byChannel = new Map<string, Rows>()
  for (const channel of [...guests, ...others]) byChannel.set(channel, await carried(organizationId, channel))

  const visiting = new Set<string>()
  for (const guest of guests) {
    for (let round = 0; round < 6; round++) {
      // A person, a team of theirs and an agent of theirs may be on one replica.
      const also = guests.filter((other) => other !== guest && random.next() < 0.25)
      const channels = [guest, ...also, ...others.filter(() => random.next() < 0.35)]
      const replica = union(channels.map((channel) => byChannel.get(channel) ?? new Map()))
      const here: Here = {
        row: (table, id) => replica.get(table)?.get(id),
        rows: (table) => replica.get(table)?.values() ?? [],
      }
      for (const channel of channels) {
        const reach = compileReach(tables, channel, here)
        for (const [name, rows] of replica) {
          const table = tables.get(name)
          if (!table) throw new Error(`There is no table ${name}.`)
          const holds = compileHolds(tables, table, [{ id: 'one', channel, embeddings: false }], here)
          const expected = [...(byChannel.get(channel)?.get(name)?.keys() ?? [])].toSorted()
          const reached = [...rows].filter(([, row]) => reach(table, row) === true).map(([id]) => id)
          const held = [...rows].filter(([, row]) => holds(row)).map(([id]) => id)
          expect([channel, name, reached.toSorted()]).toEqual([channel, name, expected])
          expect([channel, name, held.toSorted()]).toEqual([channel, name, expected])
          for (const id of expected) if (rows.get(id)?.['channel'] !== channel) visiting.add(`${name}/${id}`)
        }
      }
    }
  }
  // Otherwise the cases that matter did not occur.
  const visitors = new Set([...visiting].map((key) => key.slice(0, key.indexOf('/'))))
  for (const name of ['projects', 'conversations', 'conversation_participants', 'messages', 'sync_conflicts'])
    expect(visitors).toContain(name)
})
