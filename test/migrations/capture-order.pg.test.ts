import pg from 'pg'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import { createWorld, insert, type World } from './rows.ts'

let db: TestDatabase
let world: World

beforeAll(async () => {
  db = await createTestDatabase({ kind: 'postgres' })
  world = await createWorld(db.database.pool)
})
afterAll(() => db.close())

test('a reader never sees a commit before one of a lower seq, while fifty write at once', async () => {
  const writers = 50
  const commits = 10
  const pool = new pg.Pool({ connectionString: db.url, max: writers, idleTimeoutMillis: 0 })
  let writing = true
  const write = async () => {
    for (let n = 0; n < commits; n++) {
      const client = await pool.connect()
      try {
        await client.query('begin')
        await insert(client, 'tasks', { organization_id: world.organization, project_id: world.project, title: 'T' })
        await insert(client, 'tasks', { organization_id: world.organization, project_id: world.project, title: 'T' })
        await client.query(n % 5 === 0 ? 'rollback' : 'commit')
      } finally {
        client.release()
      }
    }
  }
  const seen = new Map<string, number>()
  const late: unknown[] = []
  const read = async () => {
    let head = -1
    for (let last = false; !last;) {
      last = !writing
      const { rows } = await db.database.pool.query(
        `select seq, count(*)::int as keys from sync_changes where table_name = 'tasks' group by seq order by seq`,
      )
      for (const { seq, keys } of rows) {
        if (!seen.has(seq) && Number(seq) < head) late.push(seq)
        seen.set(seq, keys)
      }
      head = Math.max(head, Number(rows.at(-1)?.seq ?? -1))
    }
  }
  const reading = read()
  await Promise.all(Array.from({ length: writers }, write))
  writing = false
  await reading
  expect(pool.totalCount).toBe(writers)
  await pool.end()
  expect(late).toEqual([])
  expect(seen.size).toBe((writers * commits * 4) / 5)
  expect(new Set(seen.values())).toEqual(new Set([2]))
})

test('opposite orders of rows do not deadlock on the log', async () => {
  const [a, b] = await Promise.all(
    [1, 2].map(() =>
      insert(db.database.pool, 'tasks', { organization_id: world.organization, project_id: world.project, title: 'T' }),
    ),
  )
  const touch = (id: string | undefined) =>
    db.database.pool.query(`update tasks set position = position + 1 where id = $1`, [id])
  await Promise.all(Array.from({ length: 40 }, (_, n) => touch(n % 2 === 0 ? a?.id : b?.id)))
  const { rows } = await db.database.pool.query('select sum(position)::int as sum from tasks where id = any($1)', [
    [a?.id, b?.id],
  ])
  expect(rows[0].sum).toBe(40)
})
