import { describe, expect, test } from 'vitest'
import type { Mutation, Outcome } from '../../protocol/messages/mutation.ts'
import type { DeviceLedger } from '../../server/mutation/mutation-store.ts'
import { checkOrder, unitsOf } from '../../server/mutation/order.ts'

const mutation = (clientSeq: number, over: Partial<Mutation> = {}): Mutation => ({
  id: `m${clientSeq}`,
  clientSeq,
  table: 't',
  rowId: 'r',
  op: 'delete',
  at: 0,
  ...over,
})
const outcome = (clientSeq: number): Outcome => ({ mutationId: `m${clientSeq}`, clientSeq, kind: 'applied' })

/** A ledger that ends at `last` and still holds the outcomes from `first` on. */
function ledger(first: number, last: number): DeviceLedger {
  const stored = Array.from({ length: last - first + 1 }, (_, index) => first + index)
  return {
    lastClientSeq: last,
    outcomes: new Map(stored.map((seq) => [`m${seq}`, { op: 'delete', outcome: outcome(seq) }])),
    idsBySeq: new Map(stored.map((seq) => [seq, `m${seq}`])),
  }
}

describe('the order of a device', () => {
  test('goes on where the ledger ends', () => {
    expect(checkOrder([mutation(4), mutation(5)], ledger(1, 3)).fresh.map(({ id }) => id)).toEqual(['m4', 'm5'])
  })

  test('answers repeats from the ledger, and takes what is new after them', () => {
    const { answered, fresh } = checkOrder([mutation(2), mutation(3), mutation(4)], ledger(1, 3))
    expect([...answered.values()]).toEqual([outcome(2), outcome(3)])
    expect(fresh.map(({ id }) => id)).toEqual(['m4'])
  })

  test('lets what is known take the next counter, of a device that counts anew', () => {
    const again = [mutation(4, { id: 'm2' }), mutation(5, { id: 'new' }), mutation(6, { id: 'm3' })]
    const { answered, fresh, recounted } = checkOrder(again, ledger(1, 3))
    expect([...answered.values()]).toEqual([outcome(2), outcome(3)])
    expect(fresh.map(({ id }) => id)).toEqual(['new'])
    expect(recounted.map(({ id, clientSeq }) => [id, clientSeq])).toEqual([
      ['m2', 4],
      ['m3', 6],
    ])
    expect(checkOrder([mutation(2), mutation(3)], ledger(1, 3)).recounted).toEqual([])
  })

  test('refuses a gap, naming what is expected', () => {
    expect(() => checkOrder([mutation(5)], ledger(1, 3))).toThrow(/number 5, and 4 is the next/)
    expect(() => checkOrder([mutation(4), mutation(6)], ledger(1, 3))).toThrow(/5 is the next/)
  })

  test('tells a clone by a counter that another write has', () => {
    expect(() => checkOrder([mutation(3, { id: 'other' })], ledger(1, 3))).toThrow(/number 3 .* was m3 before/)
  })

  test('does not apply again what is older than the ledger', () => {
    const { answered, fresh } = checkOrder([mutation(1), mutation(6)], ledger(3, 5))
    expect(answered.get('m1')).toMatchObject({ kind: 'rejected', error: { code: 'outcome_forgotten' } })
    expect(fresh.map(({ id }) => id)).toEqual(['m6'])
  })
})

test('keeps groups together and others apart', () => {
  const units = unitsOf([
    mutation(1),
    mutation(2, { group: 'g' }),
    mutation(3, { group: 'g' }),
    mutation(4, { group: 'h' }),
    mutation(5),
    mutation(6),
  ])
  expect(units.map((unit) => unit.map(({ clientSeq }) => clientSeq))).toEqual([[1], [2, 3], [4], [5], [6]])
})
