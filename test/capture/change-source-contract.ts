// What every change source promises, however it learns of commits. `make` gives one over the database; it is stopped here.
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import type { ChangeSource } from '../../server/capture/change-source.ts'
import type { SqlQuery } from '../../server/scope/sql-query.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import { newId, seedFixture, type Fixture } from '../support/fixtures.ts'
import { insertRow } from '../../server/db/insert-row.ts'

const placeSql = `select (pg_current_wal_flush_lsn() - '0/0')::text as flushed, (pg_current_wal_insert_lsn() - '0/0')::text as inserted, sync.postgres_run() as run`

export function changeSourceContract(kind: 'embedded' | 'postgres', make: (db: TestDatabase) => ChangeSource): void {
  let db: TestDatabase
  let it: Fixture
  const sources: ChangeSource[] = []

  beforeAll(async () => {
    db = await createTestDatabase({ kind })
    it = await seedFixture(db.database.pool)
  })
  afterEach(async () => {
    for (const source of sources.splice(0)) await source.stop()
  })
  afterAll(() => db.close())

  function source(): ChangeSource {
    const made = make(db)
    sources.push(made)
    return made
  }

  /** A started source, and a wait for its next wake-up. */
  async function started(): Promise<{ readonly source: ChangeSource; readonly woken: () => Promise<void> }> {
    let next = Promise.withResolvers<void>()
    const one = source()
    await one.start(() => next.resolve())
    const woken = async (): Promise<void> => {
      await next.promise
      next = Promise.withResolvers<void>()
    }
    return { source: one, woken }
  }

  async function addTask(): Promise<string> {
    const id = newId()
    await insertRow(db.database.pool, 'tasks', {
      id,
      organization_id: it.organizationId,
      project_id: it.projectId,
      title: 'T',
    })
    return id
  }

  test('wakes after a commit, and after the next', async () => {
    const { woken } = await started()
    for (let round = 0; round < 3; round++) {
      await addTask()
      await expect(woken()).resolves.toBeUndefined()
    }
  })

  test('its head grows with each commit', async () => {
    const { source: one } = await started()
    const before = await one.head()
    await addTask()
    const after = await one.head()
    expect(after).toBeGreaterThan(before)
    expect(await one.head()).toBe(after)
  })

  test('what a snapshot sees is in the log once it has settled', async () => {
    const { source: one } = await started()
    const id = await addTask()
    const client = await db.database.pool.connect()
    try {
      await client.query('begin isolation level repeatable read read only')
      const query: SqlQuery = ({ text, values }) => client.query(text, [...(values ?? [])]).then(({ rows }) => rows)
      const [place] = await query<{ flushed: string; inserted: string; run: string }>({ text: placeSql })
      const log = await one.settle(query, {
        flushed: Number(place?.flushed),
        inserted: Number(place?.inserted),
        run: place?.run ?? '',
      })
      expect(await log({ text: 'select op from sync_changes where row_id = $1', values: [id] })).toEqual([
        { op: 'upsert' },
      ])
    } finally {
      await client.query('rollback')
      client.release()
    }
  })

  test('a hint wakes at once', async () => {
    const { source: one, woken } = await started()
    one.wake()
    await expect(woken()).resolves.toBeUndefined()
  })

  test('a start gives the database its epoch, and keeps it', async () => {
    await started()
    const epoch = async (): Promise<unknown> => (await db.database.pool.query('select epoch from sync_heads')).rows
    const first = await epoch()
    expect(first).toHaveLength(1)
    await started()
    expect(await epoch()).toEqual(first)
  })

  test('hears nothing after it was stopped', async () => {
    let heard = 0
    const one = source()
    await one.start(() => heard++)
    await one.stop()
    heard = 0
    await addTask()
    one.wake()
    const { woken } = await started()
    await addTask()
    await woken()
    expect(heard).toBe(0)
  })
}
