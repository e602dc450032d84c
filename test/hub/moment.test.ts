import { expect, test } from 'vitest'
import { momentOf } from '../../server/hub/snapshot.ts'

test('a snapshot comes after another when a transaction has ended in between, whichever it was', () => {
  const history = ['100:100:', '100:102:100', '100:104:100,102', '102:104:102', '104:104:', '104:105:']
  const moments = history.map(momentOf)
  expect(moments).toEqual(moments.toSorted((a, b) => a - b))
  expect(new Set(moments).size).toBe(moments.length)
})

test('a transaction that only began makes no difference', () => {
  expect(momentOf('100:101:100')).toBe(momentOf('100:101:100'))
  expect(momentOf('7:7:')).toBe(7)
})
