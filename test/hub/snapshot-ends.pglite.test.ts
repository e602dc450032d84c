import { afterAll, beforeAll, expect, test } from 'vitest'
import { toSeq } from '../../protocol/seq.ts'
import type { ChangeSource } from '../../server/capture/change-source.ts'
import { createTriggerSource } from '../../server/capture/capture.ts'
import { inSnapshot } from '../../server/hub/snapshot.ts'
import { SnapshotEnds } from '../../server/hub/snapshot-ends.ts'
import { systemClock } from '../../lib/clock.ts'
import { silentLog } from '../../server/telemetry/telemetry.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'

let db: TestDatabase
beforeAll(async () => {
  db = await createTestDatabase()
})
afterAll(() => db.close())

test('the end of a log is looked for after the end of the epoch before, however long the log is', async () => {
  const { database } = db
  const { pool } = database
  const { rows } = await pool.query<{ epoch: string }>('select sync.ensure_epoch() as epoch')
  // Nobody sees this transaction: whoever reads the entry ends before it.
  const hidden = '9000000000'
  await pool.query(
    `insert into sync_changes (seq, ordinal, xid, channel, table_name, op)
     select seq, 0, case when seq = 10500 then $1 else '3' end::xid8, 'canary', 'canary', 'mark' from generate_series(10001, 11000) seq`,
    [hidden],
  )
  const source: ChangeSource = {
    ...createTriggerSource({ database, clock: systemClock, log: silentLog, news: undefined }),
    logsAfterCommit: true,
  }
  const end = (): Promise<number> =>
    inSnapshot(
      pool,
      10_000,
      async (snap) => (await new SnapshotEnds(source).known(snap, { run: '', seq: toSeq(0) })).to,
    )
  expect(await end()).toBe(10_499)
  await pool.query(
    `insert into sync.former_epochs (epoch, heir, ended_at) values ('an epoch of no heir', 'nobody', 10900), ('the one before', $1, 10600)`,
    [rows[0]?.epoch],
  )
  expect(await end()).toBe(11_000)
})
