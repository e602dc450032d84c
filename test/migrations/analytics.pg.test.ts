import { expect, test } from 'vitest'
import { createTestDatabase } from '../support/database.ts'
import { createWorld, insert } from './rows.ts'

test('refreshing analytics blocks no reader, and is blocked by none', async () => {
  await using db = await createTestDatabase({ kind: 'postgres' })
  const { pool } = db.database
  const world = await createWorld(pool)
  const read = 'select name from mv_project_overview where project_id = $1'
  await pool.query('select from sync.refresh_analytics()')
  const [reader, refresher] = [await pool.connect(), await pool.connect()]
  try {
    // A reader in the middle of a long read does not hold a refresh up …
    await reader.query(`begin; set local lock_timeout = '20s'`)
    expect((await reader.query(read, [world.project])).rows).toEqual([{ name: 'Tide' }])
    await insert(pool, 'tasks', { organization_id: world.organization, project_id: world.project, title: 'New' })
    await pool.query(`update projects set name = 'Ebb' where id = $1`, [world.project])
    await refresher.query(`begin; set local lock_timeout = '20s'`)
    await refresher.query('select from sync.refresh_analytics()')
    // … nor does a refresh that is not committed hold a reader up: it reads what was there before.
    expect((await reader.query(read, [world.project])).rows).toEqual([{ name: 'Tide' }])
    await reader.query('commit')
    expect((await reader.query(read, [world.project])).rows).toEqual([{ name: 'Tide' }])
    await refresher.query('commit')
    expect((await reader.query(read, [world.project])).rows).toEqual([{ name: 'Ebb' }])
  } finally {
    reader.release()
    refresher.release()
  }
})
