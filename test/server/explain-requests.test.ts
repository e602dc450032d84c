import { expect, test } from 'vitest'
import { TideError } from '../../protocol/error.ts'
import { explainRequests } from '../../server/reports.ts'
import { silentLog, Troubles } from '../../server/telemetry/telemetry.ts'
import { ManualClock } from '../support/manual-clock.ts'

const said = (code: string): Error => Object.assign(new Error('said'), { code })

function world() {
  const troubles = new Troubles(new ManualClock(), silentLog)
  return { troubles, explain: explainRequests(troubles) }
}

test('a request that takes the database too long is refused as such, and no trouble of the server', () => {
  const { troubles, explain } = world()
  expect(explain(said('57014'))?.code).toBe('timeout')
  expect(troubles.all).toEqual([])
})

test.each(['42703', '42P01'])('an action that names what is not there (%s) is a bug of its own', (code) => {
  const { troubles, explain } = world()
  expect(explain(said(code))).toBeUndefined()
  expect(troubles.all).toEqual([])
})

test('where the database is known to lack something, a request is told so', () => {
  const { troubles, explain } = world()
  troubles.report('schema', new TideError('schema_mismatch', 'table tasks is missing'))
  expect(explain(said('42P01'))?.code).toBe('schema_mismatch')
  expect(troubles.all.map(({ part }) => part)).toEqual(['schema'])
})

test.each([
  ['53100', 'storage_full'],
  ['ECONNREFUSED', 'database_unreachable'],
])('what keeps everybody waiting (%s) is a trouble of the server', (code, trouble) => {
  const { troubles, explain } = world()
  expect(explain(said(code))?.code).toBe(trouble)
  expect(troubles.all).toMatchObject([{ part: 'requests', code: trouble }])
})
