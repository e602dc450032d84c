import { expect, test } from 'vitest'
import { assess, type SlotFigures } from '../../server/telemetry/health.ts'
import { healthy } from '../support/metrics.ts'
import { complaintsOf, unexplained, type Complaint } from './health-record.ts'

const slot = { name: 's', active: true, state: 'reserved', retainedBytes: 1, keepBytes: null, written: 2, captured: 1 }
const saidOf = (figures: Partial<SlotFigures>): readonly Complaint[] =>
  complaintsOf({ status: 200, body: assess({ ...healthy, slot: { ...slot, ...figures }, captureLagMs: 0 }) })
const feed = (message: string): Complaint => ({ word: 'timeout', why: `feed: ${message}` })

const unread = [...saidOf({ active: false }), ...saidOf({ state: null })]
const open = { by: 'process 7', seconds: 60 }
const much = [...saidOf({ retainedBytes: 1e12 }), ...saidOf({ retainedBytes: 1e12, oldest: open })]
const lost = [...saidOf({ state: 'lost' }), ...saidOf({ state: 'unreserved' })]

test('a part that is not well passes for the reason that the story made true, and for no other', () => {
  expect([...unread, ...much, ...lost].map(({ word }) => word)).toEqual(Array.from({ length: 6 }, () => 'slot'))
  expect(unexplained(unread, ['the slot is taken anew'])).toEqual([])
  for (const one of [...much, ...lost]) expect(unexplained([one], ['the slot is taken anew'])).toEqual(['slot'])
  expect(unexplained([...much, ...lost], ['the slot keeps more than it may'])).toEqual([])
  for (const one of unread) expect(unexplained([one], ['the slot keeps more than it may'])).toEqual(['slot'])
  expect(unexplained(unread, [])).toEqual(['slot'])
})

test('a trouble passes for its reason, not for its code', () => {
  const behind = feed('The change log is behind: it has not reached WAL position 9 in 10 s.')
  const slow = feed('The database was too slow: canceling statement due to statement timeout.')
  expect(unexplained([behind], ['the slot is taken anew'])).toEqual([])
  expect(unexplained([behind, slow], ['the slot is taken anew', 'another epoch begins'])).toEqual(['timeout'])
})

test('what a database that does not answer leaves unknown is no complaint', () => {
  const said = complaintsOf({ status: 200, body: assess({ ...healthy, databaseMs: null, database: null }) })
  expect(said.map(({ word }) => word)).toEqual(['database'])
})
