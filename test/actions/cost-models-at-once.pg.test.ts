import pg from 'pg'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { TideError } from '../../protocol/error.ts'
import { costModels } from '../../server/entities/costs/cost-models.ts'
import { createRepositories } from '../../server/repositories/repositories.ts'
import { catalog, createWorld, newId, type World } from '../mutation/world.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import { countLockWaiters } from '../support/lock-waiters.ts'

let home: TestDatabase
let world: World
let other: pg.Client

beforeAll(async () => {
  home = await createTestDatabase({ kind: 'postgres' })
  world = await createWorld(home.database)
  other = new pg.Client(home.database.connection)
  await other.connect()
})
afterAll(async () => {
  await other.end()
  await home.close()
})

/** Somebody has made a model active and not committed yet; its id. */
async function beginModel(name: string): Promise<string> {
  const id = newId()
  await other.query('begin')
  await other.query(
    `insert into cost_models (id, organization_id, name, kind, target, is_active) values ($1, $2, $3, 'average', 'cost', true)`,
    [id, world.ada.principal.organizationId, name],
  )
  return id
}

const ways = {
  push: async (name: string) => {
    const set = { name, kind: 'average', target: 'cost', isActive: true }
    const [outcome] = await world.ada.send({ table: 'cost_models', op: 'insert', set })
    if (outcome?.error) throw new TideError(outcome.error.code, outcome.error.message)
  },
  unit: async (name: string) => {
    const { organizationId, id: userId } = world.ada.principal
    const repositories = createRepositories({ database: home.database, catalog })
    await repositories.withUnit({ organizationId, userId }, (unit) =>
      unit.of(costModels).create({ name, kind: 'average', target: 'cost', isActive: true }),
    )
  },
}

describe.each(['push', 'unit'] as const)(
  'a model that a %s makes active while somebody else makes another one active',
  (way) => {
    /** Begun, and waiting for the other. */
    async function activate(name: string) {
      const done = ways[way](name)
      done.catch(() => undefined)
      await expect.poll(() => countLockWaiters(home.database.pool)).toBe(1)
      return { done }
    }

    test('is refused, and the message names the other, which was committed first', async () => {
      const id = await beginModel(`first of ${way}`)
      const { done } = await activate(`second of ${way}`)
      await other.query('commit')
      await expect(done).rejects.toMatchObject({
        code: 'constraint_violated',
        message: expect.stringContaining(`first of ${way} (revision 1, id ${id}) is active for cost`) as string,
      })
      await world.query('update cost_models set is_active = false')
    })

    test('is active when the other is rolled back', async () => {
      await beginModel(`third of ${way}`)
      const { done } = await activate(`fourth of ${way}`)
      await other.query('rollback')
      await done
      expect(await world.query('select name from cost_models where is_active')).toEqual([{ name: `fourth of ${way}` }])
      await world.query('update cost_models set is_active = false')
    })
  },
)
