import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { PGlite } from '@electric-sql/pglite'
import pg from 'pg'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { systemClock } from '../../lib/clock.ts'
import { backendOf, endStream } from '../../server/db/embedded-backend.ts'
import { TurnServer } from '../../server/db/turns.ts'
import { queryMessage } from '../../server/db/wire.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'

let test1: TestDatabase

beforeAll(async () => {
  test1 = await createTestDatabase({ migrated: false })
  await test1.database.pool.query('create table notes (id integer primary key, text text not null)')
})
afterAll(async () => test1.close())

describe('connections of the embedded database', () => {
  test('get the answers to their own parameters when many ask at once', async () => {
    const { pool } = test1.database
    await Promise.all(
      Array.from({ length: 200 }, (_, id) => pool.query('insert into notes values ($1, $2)', [id, `text ${id}`])),
    )
    const texts = await Promise.all(
      Array.from({ length: 200 }, async (_, id) => {
        // Two shapes of statement, so that a mixed-up unnamed statement gives the wrong columns.
        const sql =
          id % 2 ? 'select text from notes where id = $1' : 'select $1::integer as id, text from notes where id = $1'
        const { rows } = await pool.query<{ text: string }>(sql, [id])
        return rows[0]?.text
      }),
    )
    expect(texts).toEqual(Array.from({ length: 200 }, (_, id) => `text ${id}`))
  })

  test('keep their transactions apart', async () => {
    const { pool } = test1.database
    await pool.query('delete from notes')
    await Promise.all(
      Array.from({ length: 8 }, async (_, id) => {
        const client = await pool.connect()
        await client.query('begin')
        await client.query('insert into notes values ($1, $2)', [id, 'a'])
        await client.query(id % 2 ? 'rollback' : 'commit')
        client.release()
      }),
    )
    const { rows } = await pool.query<{ id: number }>('select id from notes order by id')
    expect(rows.map(({ id }) => id)).toEqual([0, 2, 4, 6])
  })

  test('have prepared statement names of their own', async () => {
    const [one, two] = await Promise.all([test1.database.pool.connect(), test1.database.pool.connect()])
    const first = await one.query<{ v: number }>({ name: 'same', text: 'select $1::integer + 1 as v', values: [1] })
    const second = await two.query<{ v: number }>({ name: 'same', text: 'select $1::integer * 10 as v', values: [1] })
    const again = await one.query<{ v: number }>({ name: 'same', text: 'select $1::integer + 1 as v', values: [2] })
    one.release()
    two.release()
    expect([first.rows[0]?.v, second.rows[0]?.v, again.rows[0]?.v]).toEqual([2, 10, 3])
  })

  test('go on after one of them fails inside a transaction and is cut', async () => {
    const { pool } = test1.database
    const client = await pool.connect()
    await client.query('begin')
    await client.query("insert into notes values (100, 'never')")
    await expect(client.query('select * from nowhere')).rejects.toThrow('nowhere')
    client.release(true)
    const { rows } = await pool.query('select 1 from notes where id = 100')
    expect(rows).toEqual([])
  })

  test('leave no prepared statement behind when they end', async () => {
    const { pool, connection } = test1.database
    const prepared = async (): Promise<number | null> =>
      (await pool.query('select 1 from pg_prepared_statements')).rowCount
    const before = await prepared()
    const client = new pg.Client(connection)
    await client.connect()
    await client.query({ name: 'mine', text: 'select 1' })
    expect(await prepared()).toBe((before ?? 0) + 1)
    await client.end()
    await expect.poll(prepared).toBe(before)
  })

  test('hear notifications only of the channels that they listen to, after commit', async () => {
    const { database } = test1
    const heard: string[] = []
    const arrived = Promise.withResolvers<void>()
    const stop = database.onNotify(({ channel, payload }) => {
      heard.push(`${channel} ${payload}`)
      if (payload === 'last') arrived.resolve()
    })
    await database.listen('news')
    const client = await database.pool.connect()
    await client.query('begin')
    await client.query("notify news, 'rolled back'")
    await client.query('rollback')
    client.release()
    await database.pool.query("notify weather, 'rain'")
    await database.pool.query("select pg_notify('news', $1)", ['last'])
    await arrived.promise
    stop()
    expect(heard).toEqual(['news last'])
  })
})

test('answers are kept by nobody once they are sent, however many there were', async () => {
  setFlagsFromString('--expose-gc')
  const collect = runInNewContext('gc') as () => void
  const database = await PGlite.create()
  const backend = backendOf(database)
  const ask = (): number => {
    let bytes = 0
    const fields = Array.from({ length: 10 }, (_, field) => `'field ${field} of ' || i`).join(', ')
    const rows = queryMessage(`select ${fields} from generate_series(1, 20000) i`)
    backend.exec(rows, (piece) => (bytes += piece.length))
    return bytes
  }
  ask()
  collect()
  const before = process.memoryUsage().heapUsed
  const bytes = [1, 2, 3].reduce((sum) => sum + ask(), 0)
  collect()
  const kept = process.memoryUsage().heapUsed - before
  await endStream(database)
  const { rows } = await database.query<{ answer: number }>('select 42 as answer')
  await database.close()
  expect(bytes).toBeGreaterThan(10e6)
  expect(kept).toBeLessThan(bytes / 5)
  // What PGlite is asked directly afterwards hears its own answers again.
  expect(rows).toEqual([{ answer: 42 }])
})

test('a connection that holds a transaction open without a word, while others wait, is cut and rolled back', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'tidewire-turns-'))
  const database = await PGlite.create()
  const server = new TurnServer(backendOf(database), { clock: systemClock, parameters: {}, idleTransactionMs: 300 })
  await server.listen(join(folder, '.s.PGSQL.5432'))
  const [silent, patient] = [1, 2].map(() => new pg.Client({ host: folder, user: 'postgres', database: 'postgres' }))
  if (!silent || !patient) throw new Error('There are two.')
  await Promise.all([silent.connect(), patient.connect()])
  const cut = Promise.withResolvers<string>()
  silent.on('error', (error) => cut.resolve(error.message))
  await silent.query('create table held (id integer)')
  await silent.query('begin')
  await silent.query('insert into held values (1)')
  expect((await patient.query('select id from held')).rows).toEqual([])
  expect(await cut.promise).toContain('left open')
  await patient.end()
  await server.close()
  await database.close()
  await rm(folder, { recursive: true })
})
