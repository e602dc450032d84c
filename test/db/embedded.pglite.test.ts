import { mkdtemp, readdir, readFile, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { openDatabase, type Database, type EmbeddedMode } from '../../server/db/db.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'

let home: TestDatabase
let dataDir: string

beforeAll(async () => {
  home = await createTestDatabase({ migrated: false })
  if (home.config.kind !== 'embedded') throw new Error('It is not embedded.')
  dataDir = home.config.dataDir
})
afterAll(async () => home.close())

async function open(dir: string, mode: EmbeddedMode): Promise<Database> {
  return openDatabase({ database: { kind: 'embedded', dataDir: dir, poolSize: 4 } }, { mode })
}

describe('the data folder of an embedded database', () => {
  test('is refused to a second owner while the first lives', async () => {
    await expect(open(dataDir, 'own')).rejects.toMatchObject({ code: 'replica_locked' })
  })

  test('can be attached to while a server has it: both see the same rows, and each hears the other', async () => {
    const guest = await open(dataDir, 'either')
    expect([home.database.attached, guest.attached]).toEqual([false, true])
    await guest.pool.query('create table shared (id integer)')
    await home.database.pool.query('insert into shared values (1)')
    expect((await guest.pool.query('select id from shared')).rows).toEqual([{ id: 1 }])
    const heard = Promise.withResolvers<string>()
    home.database.onNotify(({ payload }) => heard.resolve(payload))
    await home.database.listen('shared')
    await guest.pool.query("notify shared, 'hello'")
    expect(await heard.promise).toBe('hello')
    await guest.close()
    expect((await home.database.pool.query('select 1 as one')).rows).toEqual([{ one: 1 }])
  })

  test('can be attached to while its owner is still starting, also on the first start of all', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'tidewire-boot-'))
    const opened = await Promise.all([open(folder, 'either'), open(folder, 'either'), open(folder, 'either')])
    expect(opened.filter(({ attached }) => !attached)).toHaveLength(1)
    await Promise.all(
      opened.map(async ({ pool }) => expect((await pool.query('select 1 as one')).rows).toEqual([{ one: 1 }])),
    )
    for (const database of opened.toSorted((a, b) => Number(b.attached) - Number(a.attached))) await database.close()
    await rm(folder, { recursive: true, force: true })
  })

  test('belongs to its user alone', async () => {
    expect((await stat(dataDir)).mode & 0o777).toBe(0o700)
  })

  test('cannot be attached to when nothing runs', async () => {
    const empty = await mkdtemp(join(tmpdir(), 'tidewire-empty-'))
    await expect(open(empty, 'attach')).rejects.toMatchObject({ code: 'not_running' })
    await rm(empty, { recursive: true })
  })

  test('may have a path too long for a socket', async () => {
    const parent = await mkdtemp(join(tmpdir(), 'tidewire-long-'))
    const long = join(parent, 'a'.repeat(90), 'b'.repeat(90))
    const database = await open(long, 'own')
    const guest = await open(long, 'attach')
    expect((await guest.pool.query('select 1 as one')).rows).toEqual([{ one: 1 }])
    const path = await readFile(join(long, 'socket'), 'utf8')
    expect(Buffer.byteLength(path)).toBeLessThanOrEqual(100)
    await guest.close()
    await database.close()
    expect(await readdir(long)).not.toContain('socket')
    await rm(parent, { recursive: true, force: true })
  })
})

describe('closing', () => {
  test('lets queries in flight finish, and a second owner follow', async () => {
    const parent = await mkdtemp(join(tmpdir(), 'tidewire-close-'))
    const database = await open(parent, 'own')
    const slow = database.pool.query<{ n: number }>('select count(*)::integer as n from generate_series(1, 300000) a')
    await database.close()
    expect((await slow).rows).toEqual([{ n: 300_000 }])
    const again = await open(parent, 'own')
    await again.close()
    await rm(parent, { recursive: true, force: true })
  })
})

describe('a transaction that is left open', () => {
  test('blocks others until it ends, and nobody sees half of it', async () => {
    const { pool } = home.database
    await pool.query('create table slow (id integer)')
    const client = await pool.connect()
    await client.query('begin')
    await client.query('insert into slow values (1)')
    const count = pool.query<{ n: number }>('select count(*)::integer as n from slow')
    await client.query('insert into slow values (2)')
    await client.query('commit')
    client.release()
    expect((await count).rows).toEqual([{ n: 2 }])
  })
})
