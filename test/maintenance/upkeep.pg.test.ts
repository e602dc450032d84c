import { expect, test } from 'vitest'
import { checkIntegrity } from '../../server/maintenance/maintenance.ts'
import { createTestDatabase } from '../support/database.ts'
import { describeUpkeep } from './upkeep-contract.ts'

describeUpkeep('postgres')

test('a check reads nothing while months are made, so that neither waits for the other', async () => {
  await using db = await createTestDatabase({ kind: 'postgres' })
  await db.database.migrate()
  const { pool } = db.database
  const maker = await pool.connect()
  try {
    await maker.query('begin')
    await maker.query('select sync.ensure_partitions(1)')
    const check = checkIntegrity(pool)
    const waiting = async (): Promise<unknown> => {
      const { rows } = await pool.query(`select (
          select count(*)::int from pg_locks o join pg_class c on c.oid = o.relation
          where o.pid = l.pid and c.relname in (select relname from pg_class where relkind = 'p')
        ) as logs
        from pg_locks l join pg_database d on d.oid = l.database and d.datname = current_database()
        where l.locktype = 'advisory' and not l.granted`)
      return rows
    }
    await expect.poll(waiting, { timeout: 30_000 }).toEqual([{ logs: 0 }])
    await maker.query('commit')
    expect(await check).toHaveLength(24)
  } finally {
    maker.release()
  }
})
