import { randomUUID } from 'node:crypto'
import pg from 'pg'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { inOneTransaction, openDatabase, type Notification } from '../../server/db/db.ts'
import { patiently } from '../../server/db/lock-wait.ts'
import { Migration } from '../../server/server.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'

class AddNoteToTasks extends Migration {
  override up(): void {
    this.addSql('alter table tasks add column note text')
  }

  override down(): void {
    this.addSql('alter table tasks drop column note')
  }
}

let empty: TestDatabase
beforeAll(async () => {
  empty = await createTestDatabase({ kind: 'postgres', migrated: false })
})
afterAll(async () => empty.close())

describe('migrations on Postgres', () => {
  test('of servers that start together run once', async () => {
    const databases = await Promise.all(Array.from({ length: 5 }, async () => openDatabase({ database: empty.config })))
    const applied = await Promise.all(databases.map(async (database) => database.migrate()))
    const { rows } = await empty.database.pool.query<{ count: number }>(
      'select count(*)::integer as count from mikro_orm_migrations',
    )
    expect(applied.filter((names) => names.length > 0)).toHaveLength(1)
    expect(rows[0]?.count).toBe(Math.max(...applied.map((names) => names.length)))
    await Promise.all(databases.map(async (database) => database.close()))
  })

  test('settle policies without keeping readers from a table that somebody reads for long', async () => {
    const { pool } = empty.database
    await pool.query('alter table tasks disable row level security')
    const reader = await pool.connect()
    await reader.query('begin; select from tasks')
    const migrating = empty.database.migrate()
    const waits = `select from pg_locks where relation = 'tasks'::regclass and not granted and mode = 'AccessExclusiveLock'`
    await expect.poll(async () => (await pool.query(waits)).rowCount, { timeout: 60_000, interval: 20 }).toBe(1)
    // Behind the server in the queue of the lock: it would wait for the first reader too.
    await pool.query('select from tasks')
    await reader.query('rollback')
    reader.release()
    await migrating
    const { rows } = await pool.query(`select relrowsecurity as secured from pg_class where relname = 'tasks'`)
    expect(rows).toEqual([{ secured: true }])
  })

  test('give way to readers while somebody forgets a transaction, say who, and go on when it ends', async () => {
    const forgotten = new pg.Client({ connectionString: empty.url, application_name: 'forgotten' })
    await forgotten.connect()
    await forgotten.query('begin; select from tasks')
    const { rows } = await forgotten.query<{ pid: number }>('select pg_backend_pid() as pid')
    const applying = await openDatabase({ database: empty.config }, { own: { migrations: [AddNoteToTasks] } })
    const told = Promise.withResolvers<string>()
    const migrating = applying.migrate(undefined, undefined, told.resolve)
    expect(await told.promise).toMatch(
      new RegExp(
        `^AddNoteToTasks waits for a lock that process ${String(rows[0]?.pid)} \\(forgotten, idle in transaction\\), open for \\d+ s, holds: try 1 of 20$`,
      ),
    )
    // A write would wait behind the migration for as long as that waits itself.
    await empty.database.pool.query('update tasks set title = title')
    await forgotten.query('rollback')
    expect(await migrating).toEqual(['AddNoteToTasks'])
    expect(await applying.rollback()).toBe('AddNoteToTasks')
    await forgotten.end()
    await applying.close()
  })

  test('end with the statement that ends a prepared transaction which keeps a table', async () => {
    const { pool } = empty.database
    const name = `kept ${randomUUID()}`
    await pool.query(`begin; lock table tasks in row exclusive mode; prepare transaction '${name}'`)
    const waiting = inOneTransaction(pool, async (client) =>
      patiently({ what: 'This test', beside: pool, tries: 1 }, async (begin) => {
        await begin(async (text) => (await client.query<{ pid: number }>(text)).rows)
        await client.query('lock table tasks')
      }),
    )
    await expect(waiting).rejects.toMatchObject({
      code: 'table_locked',
      message: expect.stringContaining(`the prepared transaction '${name}'`) as string,
      remedy: expect.stringContaining(`ROLLBACK PREPARED '${name}';`) as string,
    })
    await pool.query(`rollback prepared '${name}'`)
  })

  test('can be taken back one by one', async () => {
    const name = await empty.database.rollback()
    expect(await empty.database.migrate()).toEqual([name])
  })
})

describe('the listening connection', () => {
  test('comes back after Postgres cut it, and says that some may have been missed', async () => {
    const { database } = empty
    const heard: Notification[] = []
    const waiting = new Set<() => void>()
    database.onNotify((notification) => {
      heard.push(notification)
      for (const wake of waiting) wake()
    })
    const next = async (wanted: Notification): Promise<void> => {
      while (!heard.some(({ channel, payload }) => channel === wanted.channel && payload === wanted.payload))
        await new Promise<void>((resolve) => waiting.add(resolve))
    }
    await database.listen('news')
    await database.pool.query("notify news, 'one'")
    await next({ channel: 'news', payload: 'one' })
    await database.pool.query(
      `select pg_terminate_backend(pid) from pg_stat_activity where query ilike 'listen%' and datname = current_database()`,
    )
    await next({ channel: '', payload: '' })
    await database.pool.query("notify news, 'two'")
    await next({ channel: 'news', payload: 'two' })
    expect(heard.filter(({ payload }) => payload === 'two')).toHaveLength(1)
  })
})

test('a database that does not answer is named without its password', async () => {
  const url = 'postgres://me:hunter2@127.0.0.1:1/none'
  const error = await openDatabase({ database: { kind: 'postgres', url, poolSize: 1, readUrls: [] } }).catch(
    (cause: unknown) => cause,
  )
  expect(error).toMatchObject({
    code: 'database_unreachable',
    message: expect.stringContaining('127.0.0.1:1') as string,
  })
  expect(String((error as Error).message)).not.toContain('hunter2')
})

describe('one transaction', () => {
  test('is committed, or taken back when the work throws or a dry run is meant', async () => {
    const { pool } = empty.database
    await pool.query('create table counted (n integer)')
    const add = (n: number) => async (client: pg.ClientBase) => {
      await client.query('insert into counted values ($1)', [n])
      if (n === 3) throw new Error('Three.')
      return n
    }
    expect(await inOneTransaction(pool, add(1))).toBe(1)
    expect(await inOneTransaction(pool, add(2), { end: 'rollback' })).toBe(2)
    await expect(inOneTransaction(pool, add(3))).rejects.toThrow('Three.')
    await expect(inOneTransaction(pool, add(4), { begin: 'begin read only' })).rejects.toThrow('read-only')
    expect((await pool.query('select n from counted')).rows).toEqual([{ n: 1 }])
  })

  test('whose connection breaks says why the work failed, and gives the connection to nobody else', async () => {
    const { pool } = empty.database
    const broken = inOneTransaction(pool, async (client) => {
      const { rows } = await client.query<{ pid: number }>('select pg_backend_pid() as pid')
      await pool.query('select pg_terminate_backend($1)', [rows[0]?.pid])
      await client.query('select 1').catch(() => undefined)
      throw new Error('The work failed.')
    })
    await expect(broken).rejects.toThrow('The work failed.')
    const taken = await Promise.all(Array.from({ length: pool.options.max }, () => pool.connect()))
    for (const client of taken) {
      expect((await client.query('select 1 as one')).rows).toEqual([{ one: 1 }])
      client.release()
    }
  })
})
