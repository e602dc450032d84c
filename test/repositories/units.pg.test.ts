import { createServer } from 'node:net'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { loadCatalog } from '../../server/catalog/catalog.ts'
import { openDatabase } from '../../server/db/db.ts'
import { createRepositories, type Unit, type UnitOptions } from '../../server/repositories/repositories.ts'
import { createTestDatabase } from '../support/database.ts'
import { countLockWaiters } from '../support/lock-waiters.ts'
import { createRepositoryWorld, type RepositoryWorld } from './world.ts'

let on: RepositoryWorld
beforeAll(async () => {
  on = await createRepositoryWorld('postgres')
})
afterAll(() => on.db.close())

const unit = <T>(work: (unit: Unit) => Promise<T>, options?: UnitOptions): Promise<T> =>
  on.repositories.withUnit(on.actor, work, options)
const addTask = (title = 'T') => unit(({ tasks }) => tasks.create({ projectId: on.world.project, title }))

/** Lets all go on once `count` have come. */
function meeting(count: number): () => Promise<void> {
  const all = Promise.withResolvers<void>()
  let here = 0
  return async () => {
    if (++here === count) all.resolve()
    await all.promise
  }
}

describe('a unit', () => {
  test('that meets a deadlock runs again, and nobody hears of it', async () => {
    const [a, b] = [await addTask('a'), await addTask('b')]
    const meet = meeting(2)
    let runs = 0
    const crosswise = (first: string, second: string) =>
      unit(async ({ query }) => {
        runs += 1
        const add = (id: string) =>
          query({ text: 'update tasks set position = position + 1 where id = $1', values: [id] })
        await add(first)
        if (runs <= 2) await meet()
        await add(second)
      })
    await Promise.all([crosswise(a.id, b.id), crosswise(b.id, a.id)])
    expect(runs).toBe(3)
    const { rows } = await unit(({ tasks }) => tasks.list({ where: { id: { $in: [a.id, b.id] } } }))
    expect(rows.map(({ position }) => position)).toEqual([2, 2])
  })

  test('that cannot be serialized runs again, on what the other one left', async () => {
    const { id } = await addTask()
    const meet = meeting(2)
    let runs = 0
    const count = () =>
      unit(
        async ({ tasks }) => {
          const { position } = await tasks.need(id)
          if (++runs <= 2) await meet()
          await tasks.patch(id, { position: position + 1 })
        },
        { isolation: 'serializable' },
      )
    await Promise.all([count(), count()])
    expect(runs).toBe(3)
    expect(await unit(({ tasks }) => tasks.need(id))).toMatchObject({ position: 2 })
  })

  test('whose connection is lost runs again, and is there once', async () => {
    let runs = 0
    await unit(async ({ query, tasks }) => {
      await tasks.create({ projectId: on.world.project, title: 'survivor' })
      if (++runs === 1) {
        const [{ pid } = { pid: 0 }] = await query<{ readonly pid: number }>({ text: 'select pg_backend_pid() as pid' })
        await on.db.database.pool.query('select pg_terminate_backend($1)', [pid])
      }
      await query({ text: 'select 1' })
    })
    expect(runs).toBe(2)
    expect(await unit(({ tasks }) => tasks.count({ title: 'survivor' }))).toBe(1)
  })

  test('gives up after three more attempts, and says that the database is away', async () => {
    let runs = 0
    const never = unit(async ({ query }) => {
      runs += 1
      await query({ text: `do $$ begin raise exception 'not this time' using errcode = '40001'; end $$` })
    })
    await expect(never).rejects.toMatchObject({
      code: 'database_unreachable',
      message: expect.stringContaining('4 times'),
    })
    expect(runs).toBe(4)
  })

  test('that is cancelled ends in the middle of its statement, and its connection is as good as before', async () => {
    const controller = new AbortController()
    const reason = new Error('Enough.')
    const lock = await on.db.database.pool.connect()
    await lock.query('begin; select pg_advisory_xact_lock(77)')
    const waiting = unit(
      async ({ query, tasks }) => {
        await tasks.create({ projectId: on.world.project, title: 'cancelled' })
        await query({ text: 'select pg_advisory_xact_lock(77)' })
      },
      { signal: controller.signal },
    )
    // Once it stands at the lock.
    await expect.poll(() => countLockWaiters(on.db.database.pool)).toBe(1)
    controller.abort(reason)
    await expect(waiting).rejects.toBe(reason)
    await lock.query('rollback')
    lock.release()
    expect(await unit(({ tasks }) => tasks.exists({ title: 'cancelled' }))).toBe(false)
  })

  test('that only reads goes to a replica, and to the primary while that one is away', async () => {
    await using replica = await createTestDatabase({ kind: 'postgres' })
    await replica.database.pool.query(`insert into organizations (name, slug) values ('Copy', 'copy')`)
    const gone = createServer().listen(0, '127.0.0.1')
    const port = await new Promise<number>((resolve) => {
      gone.once('listening', () => resolve((gone.address() as { readonly port: number }).port))
    })
    await new Promise<void>((resolve) => void gone.close(() => resolve()))
    const primary = on.db.config
    if (primary.kind !== 'postgres') throw new Error('Not on Postgres.')
    const readUrls = [replica.url ?? '', `postgres://postgres@127.0.0.1:${port}/nothing`]
    const database = await openDatabase({ database: { ...primary, readUrls } })
    const repositories = createRepositories({ database, catalog: loadCatalog() })
    const copies = (readOnly: boolean) =>
      repositories.withUnit(
        {},
        async ({ query }) => (await query({ text: `select from organizations where slug = 'copy'` })).length,
        {
          readOnly,
        },
      )
    expect([await copies(true), await copies(true), await copies(true), await copies(false)]).toEqual([1, 0, 1, 0])
    await database.close()
  })
})
