// Servers set up capture one at a time; one that hangs in the middle must not keep the others from it.
import { afterAll, beforeAll, expect, test } from 'vitest'
import { withSetupLock } from '../../server/capture/wal/setup-lock.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'

let db: TestDatabase

beforeAll(async () => {
  db = await createTestDatabase({ kind: 'postgres' })
})
afterAll(() => db.close())

test.for([
  ['between two statements', 'select 1'],
  ['within a transaction', 'begin'],
] as const)(
  'a server that hangs %s while it sets up capture gives way to the next',
  { timeout: 60_000 },
  async ([, statement]) => {
    const { connection } = db.database
    const begun = Promise.withResolvers<void>()
    const hang = Promise.withResolvers<never>()
    const hung = withSetupLock(connection, async (client) => {
      await client.query(statement)
      begun.resolve()
      return hang.promise
    })
    await begun.promise
    expect(await withSetupLock(connection, async () => 'set up')).toBe('set up')
    hang.reject(new Error('It goes on, and its connection is gone.'))
    await expect(hung).rejects.toThrow('its connection is gone')
  },
)
