// What the triggers' log does beside what every change source promises (test/capture/change-source-contract.ts), on
// both databases.
import { afterAll, beforeAll, expect, test } from 'vitest'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import { createWorld, insert, type Queryable, type World } from './rows.ts'

export function captureContract(kind: 'embedded' | 'postgres'): void {
  let db: TestDatabase
  let world: World
  let head = 0

  beforeAll(async () => {
    db = await createTestDatabase({ kind })
    world = await createWorld(db.database.pool)
    await newChanges()
  })
  afterAll(() => db.close())

  /** What was logged since the last call. */
  async function newChanges() {
    const { rows } = await db.database.pool.query('select * from sync_changes where seq > $1 order by seq, ordinal', [
      head,
    ])
    head = Number(rows.at(-1)?.seq ?? head)
    return rows
  }

  const addTask = (client: Queryable, title = 'T') =>
    insert(client, 'tasks', { organization_id: world.organization, project_id: world.project, title })
  const pool = () => db.database.pool

  test('a commit is announced where the settings say so', async () => {
    const heard: string[] = []
    const { promise, resolve } = Promise.withResolvers<void>()
    const stop = db.database.onNotify(({ channel, payload }) => {
      if (channel !== 'sync_changes') return
      heard.push(payload)
      resolve()
    })
    await db.database.listen('sync_changes')
    await addTask(pool(), 'silent')
    await pool().query('update sync.settings set notify = true')
    await addTask(pool(), 'announced')
    await promise
    await pool().query('update sync.settings set notify = false')
    stop()
    const changes = await newChanges()
    expect(heard).toEqual([String(changes.at(-1).seq)])
  })

  test('a start of Postgres begins an epoch, and what the one before reached is kept', async () => {
    const heads = async () => {
      const { rows } = await pool().query<{ epoch: string; former: string[] }>(
        `select epoch, (select coalesce(array_agg(f.epoch || ' ' || f.ended_at order by f.ended_at), '{}') from sync.former_epochs f where f.heir = h.epoch) as former from sync_heads h`,
      )
      return rows[0] ?? { epoch: '', former: [] }
    }
    const restart = () => pool().query(`update sync.settings set started = started - interval '1 second'`)
    await pool().query('select sync.ensure_epoch()')
    await addTask(pool())
    const [end, first] = [(await newChanges()).at(-1).seq, await heads()]
    await restart()
    await pool().query('select sync.ensure_epoch()')
    const second = await heads()
    expect(second.epoch).not.toBe(first.epoch)
    expect(second.former.at(-1)).toBe(`${first.epoch} ${end}`)
    await restart()
    await addTask(pool())
    // The first commit finds out by itself, before it is logged.
    const third = await heads()
    expect(third.former.slice(-2)).toEqual([`${first.epoch} ${end}`, `${second.epoch} ${end}`])
    expect(await newChanges()).toHaveLength(1)
    await pool().query(`update sync_heads set system_identifier = 'another'`)
    await pool().query('select sync.ensure_epoch()')
    expect((await heads()).former).toEqual([])
  })
}
