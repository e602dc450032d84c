// Where rows belong is told twice: by the server in SQL, by a replica from the rows that it holds. Both must agree.
import { afterAll, beforeAll, expect, test } from 'vitest'
import { compileHolds, compileReach, tablesOf, type Here } from '../../client-sdk/store/holding.ts'
import { systemClock } from '../../lib/clock.ts'
import { seededRandom, type Random } from '../../lib/random.ts'
import { uuidFromKey } from '../../lib/uuid-from-key.ts'
import type { Row } from '../../protocol/rows/row.ts'
import { createTriggerSource } from '../../server/capture/capture.ts'
import { loadCatalog } from '../../server/catalog/catalog.ts'
import { insertRow } from '../../server/db/insert-row.ts'
import { createSqlFeed, type SqlFeed } from '../../server/hub/sql-feed.ts'
import { silentLog } from '../../server/telemetry/telemetry.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import { newId, seedFixture, type Fixture } from '../support/fixtures.ts'

const catalog = loadCatalog()
const tables = tablesOf(catalog.schema)
const travelling = [...tables.values()].filter(({ direction }) => direction !== 'up').map(({ name }) => name)
const removed = '2026-11-22T01:42:36.123Z'

let db: TestDatabase
let feed: SqlFeed

beforeAll(async () => {
  db = await createTestDatabase()
  const { database } = db
  const source = createTriggerSource({ database, clock: systemClock, log: silentLog })
  await source.start(() => undefined)
  await source.stop()
  feed = createSqlFeed({ database, source, catalog })
})
afterAll(async () => {
  await feed.close()
  await db.close()
})

/** By SQL table name, then id. */
type Rows = ReadonlyMap<string, ReadonlyMap<string, Row>>

/** What a replica that follows the channel is sent. */
async function carried(organizationId: string, channel: string): Promise<Rows> {
  const selection = { organizationId, channel, tables: travelling, where: {}, embeddings: false }
  const page = await feed.page({ selection, after: null, maxRows: 10_000 })
  expect(page.next).toBeNull()
  return new Map(page.tables.map(({ table, rows }) => [table, new Map(rows.map((row) => [String(row['id']), row]))]))
}

function union(parts: Iterable<Rows>): Map<string, Map<string, Row>> {
  const all = new Map<string, Map<string, Row>>()
  for (const part of parts)
    for (const [table, rows] of part) all.set(table, new Map([...(all.get(table) ?? []), ...rows]))
  return all
}

interface People {
  readonly users: readonly string[]
  readonly agents: readonly string[]
  readonly teams: readonly string[]
}

/** Projects of every visibility, things in every scope, and guests who came, left, or own what they see. */
async function populate(it: Fixture, random: Random): Promise<People & { readonly projects: readonly string[] }> {
  const { pool } = db.database
  const pick = <T>(items: readonly T[]): T => {
    const item = items[Math.floor(random.next() * items.length)]
    if (item === undefined) throw new Error('There is nothing to pick from.')
    return item
  }
  const chance = (share: number): boolean => random.next() < share
  const add = async (table: string, row: Readonly<Record<string, unknown>>, id = newId()): Promise<string> => {
    await insertRow(pool, table, { id, organization_id: it.organizationId, ...row })
    return id
  }
  const times = async <T>(count: number, make: () => Promise<T>): Promise<readonly T[]> => {
    const made: T[] = []
    for (let number = 0; number < count; number++) made.push(await make())
    return made
  }
  const ifGone = (): Readonly<Record<string, unknown>> => (chance(0.3) ? { deleted_at: removed } : {})

  const users = [it.ownerId, it.memberId, it.viewerId]
  const agents = [it.agentId]
  const slug = (): Readonly<Record<string, unknown>> => ({ name: 'N', slug: `s-${newId()}` })
  const teams = await times(2, () => add('teams', slug()))
  const projects = await times(8, async () => {
    const visibility = pick(['organization', 'team', 'private', 'private'])
    const team = visibility === 'team' && chance(0.7) ? { team_id: pick(teams) } : {}
    const owner = chance(0.4) ? { owner_user_id: pick(users) } : {}
    const project = await add('projects', { ...slug(), visibility, ...team, ...owner })
    // Somebody is always in it: nobody else could follow it.
    const guests = [...users, ...agents, ...teams].filter(() => chance(0.3))
    for (const guest of guests.length === 0 ? [pick(users)] : guests) {
      const named = [users, teams, agents].map((kind) => (kind.includes(guest) ? guest : null))
      const [user_id, team_id, agent_id] = named
      const id = uuidFromKey('project_members', [project, ...named])
      await add('project_members', { project_id: project, user_id, team_id, agent_id, ...ifGone() }, id)
    }
    return project
  })
  const scope = (): Readonly<Record<string, unknown>> => {
    const kind = pick(['organization', 'project', 'project', 'team', 'user', 'agent'])
    const ids: Readonly<Record<string, readonly string[]>> = {
      project: projects,
      team: teams,
      user: users,
      agent: agents,
    }
    const choice = ids[kind]
    return { scope: kind, ...(choice ? { [`${kind}_id`]: pick(choice) } : {}) }
  }
  const conflict = (channel: string): Promise<string> =>
    add('sync_conflicts', {
      channel,
      user_id: pick(users),
      mutation_id: newId(),
      table_name: 'tasks',
      row_id: newId(),
      kind: 'field',
    })
  for (const project of projects) await conflict(`project/${project}`)
  await times(12, async () => {
    const conversation = await add('conversations', { ...scope(), title: 'C' })
    for (const guest of [...users, ...agents].filter(() => chance(0.35))) {
      const named = [users, agents].map((kind) => (kind.includes(guest) ? guest : null))
      const [user_id, agent_id] = named
      const id = uuidFromKey('conversation_participants', [conversation, ...named])
      const row = { conversation_id: conversation, user_id, agent_id, ...ifGone() }
      await add('conversation_participants', row, id)
    }
    await add('messages', { conversation_id: conversation, role: 'user', content: 'hello' })
    await conflict(`conversation/${conversation}`)
  })
  await times(8, async () => {
    const memory = await add('memories', { ...scope(), agent_id: it.agentId, content: 'remember' })
    await add('memory_tags', { memory_id: memory, tag: 'kept' }, uuidFromKey('memory_tags', [memory, 'kept']))
    await conflict(`memory/${memory}`)
  })
  return { users, agents, teams, projects }
}

test.each([1, 2, 3, 4])('a replica tells of each row which of its channels carry it (seed %i)', async (seed) => {
  const random = seededRandom(seed)
  const it = await seedFixture(db.database.pool)
  const { organizationId } = it
  const { users, agents, teams, projects } = await populate(it, random)
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
      const channels = [guest, ...others.filter(() => random.next() < 0.35)]
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
