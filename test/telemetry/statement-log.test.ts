import { describe, expect, test } from 'vitest'
import { fingerprint } from '../../server/telemetry/fingerprint.ts'
import { StatementLog } from '../../server/telemetry/statement-log.ts'
import { ManualClock } from '../support/manual-clock.ts'

describe('a fingerprint', () => {
  test('is the same for other values, lists, white space and comments', () => {
    const pairs = [
      [`select * from t where a = 'x' and b = 1`, `select  *\nfrom t where a = 'it''s' and b = -- now\n 27.5e3`],
      ['select 1 where a in ($1, $2)', 'select 1 where a in ($1, $2, $3, $4)'],
      ['insert into t values ($1, $2)', 'insert into t values ($1, $2), ($3, $4), ($5, $6)'],
      [`select E'a\\'b', $tag$ 'x' $tag$`, `select 'y', $$ z $$`],
      ['SELECT a FROM t', 'select a from t'],
    ] as const
    for (const [one, other] of pairs) expect(fingerprint(one).id).toBe(fingerprint(other).id)
  })

  test('is another for other names, also quoted ones with digits in them', () => {
    const ids = ['select a from t1', 'select a from t2', 'select "A 1" from t1', 'select "A 2" from t1'].map(
      (text) => fingerprint(text).id,
    )
    expect(new Set(ids).size).toBe(4)
  })

  test('comes with a sample in which parameters stand for values', () => {
    expect(fingerprint(`select a2 from t\n where name = 'Ada' and id = $2 /* hm */ limit 10`).sample).toBe(
      'select a2 from t where name = $3 and id = $2 limit $4',
    )
    expect(fingerprint(`select set_config('app.user_id', 'secret', true)`).sample).not.toMatch(/secret|app/)
  })
})

describe('statements', () => {
  test('are counted by fingerprint and minute, until they are taken', async () => {
    const clock = new ManualClock(Date.UTC(2026, 0, 1, 10, 0, 59))
    const log = new StatementLog(clock, 200)
    log.ran('select 1', 0.4, 1, false)
    log.ran('select 2', 250, 2, true)
    await clock.advance(1000)
    log.ran('select 3', 20_000, 0, false)
    expect(log.take()).toEqual([
      expect.objectContaining({
        bucket: '2026-01-01T10:00:00.000Z',
        sample: 'select $1',
        calls: 2,
        errors: 1,
        slow: 1,
        totalMs: 250.4,
        maxMs: 250,
        rows: 3,
        histogram: { 1: 1, 500: 1 },
      }),
      expect.objectContaining({ bucket: '2026-01-01T10:01:00.000Z', calls: 1, slow: 1, histogram: { inf: 1 } }),
    ])
    expect(log.take()).toEqual([])
  })

  test('of too many kinds are counted together', () => {
    const log = new StatementLog(new ManualClock(), 200)
    for (let n = 0; n < 3000; n++) log.ran(`select c${n} from t`, 1, 1, false)
    const taken = log.take()
    expect(taken).toHaveLength(501)
    expect(taken.reduce((sum, { calls }) => sum + calls, 0)).toBe(3000)
    expect(taken.at(-1)).toMatchObject({ fingerprint: 'others', calls: 2500 })
  })
})
