import pg from 'pg'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { systemClock } from '../../lib/clock.ts'
import { PgoutputDecoder } from '../../server/capture/wal/pgoutput-decoder.ts'
import { openReplication } from '../../server/capture/wal/replication-client.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'

const commits = 400
const writers = 4
const pauseAfter = 100

let db: TestDatabase
let connection: pg.ClientConfig

beforeAll(async () => {
  db = await createTestDatabase({ kind: 'postgres' })
  ;({ connection } = db.database)
  await db.database.pool.query('create table noise (n integer primary key, text text)')
  await db.database.pool.query('create publication noise for table noise')
  await db.database.pool.query(`select pg_create_logical_replication_slot('noise', 'pgoutput')`)
})
afterAll(() => db.close())

/**
 * So many small commits, on several connections as fast as these take them, and one of a row that is longer than any
 * read.
 */
async function writeAll(): Promise<void> {
  const clients = Array.from({ length: writers }, () => new pg.Client(connection))
  await Promise.all(clients.map((client) => client.connect()))
  let next = 0
  await Promise.all(
    clients.map(async (client) => {
      for (let n = next++; n < commits; n = next++) {
        const length = n === commits / 2 ? 200_000 : 10
        await client.query(
          `insert into noise select $1, string_agg(md5(i::text), '') from generate_series(0, $2 / 32) i`,
          [n, length],
        )
      }
    }),
  )
  await Promise.all(clients.map((client) => client.end()))
}

test('tells all of a flood of small commits once and in order, and nothing while its reader pauses', async () => {
  const decoder = new PgoutputDecoder()
  const [ends, paused, all] = [[] as number[], Promise.withResolvers<void>(), Promise.withResolvers<void>()]
  let [isPaused, whilePaused, rows] = [false, 0, 0]
  let pause = (): void => undefined
  const stream = await openReplication({
    connection,
    clock: systemClock,
    slot: 'noise',
    publication: 'noise',
    onMessage(bytes) {
      const message = decoder.decode(bytes)
      if (message.kind === 'row') rows++
      if (message.kind !== 'commit') return
      ends.push(message.end)
      if (isPaused) whilePaused++
      if (ends.length === pauseAfter) {
        pause()
        // What this read brought may still come.
        setImmediate(() => {
          isPaused = true
          paused.resolve()
        })
      }
      if (ends.length === commits) all.resolve()
    },
    onPosition: () => undefined,
  })
  pause = () => stream.pause()
  const written = writeAll()
  await paused.promise
  await written
  expect(whilePaused).toBe(0)
  isPaused = false
  stream.resume()
  await Promise.race([all.promise, stream.ended.then((error) => Promise.reject(error))])
  expect(rows).toBe(commits)
  expect(ends).toEqual(ends.toSorted((a, b) => a - b))
  expect(new Set(ends).size).toBe(commits)
  await stream.close()
})
