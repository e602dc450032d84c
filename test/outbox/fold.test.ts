import { describe, expect, test } from 'vitest'
import { cancels, fold, type FoldContext } from '../../client-sdk/outbox/fold.ts'
import type { OutboxEntry } from '../../client-sdk/store/store.ts'
import { testIds } from '../replica/replica-schema.ts'

type Unsent = OutboxEntry['mutation']
const rowId = testIds()

function mutation(values: Partial<Unsent>): Unsent {
  return { id: testIds(), clientSeq: 0, table: 'tasks', rowId, op: 'patch', at: 0, ...values }
}

function entry(values: Partial<Unsent>, other: Partial<OutboxEntry> = {}): OutboxEntry {
  return { position: 1, status: 'local', mutation: mutation(values), outcome: null, settled: false, ...other }
}

const alone: Omit<FoldContext, 'last'> = { isReferenced: () => false, positionOf: () => undefined }

describe('a patch', () => {
  test('folds into an insert', () => {
    const last = entry({ op: 'insert', set: { title: 'a', body: 'b' } })
    expect(fold(mutation({ set: { title: 'c' }, base: { title: 'a' } }), { ...alone, last })?.mutation).toEqual({
      ...last.mutation,
      set: { title: 'c', body: 'b' },
    })
  })

  test('folds into a patch, with the base of the first touch', () => {
    const last = entry({ set: { title: 'b' }, base: { title: 'a' } })
    const folded = fold(mutation({ set: { title: 'c', body: 'y' }, base: { title: 'b', body: 'x' } }), {
      ...alone,
      last,
    })
    expect(folded?.mutation).toEqual({
      ...last.mutation,
      set: { title: 'c', body: 'y' },
      base: { title: 'a', body: 'x' },
    })
  })

  test.each<[string, OutboxEntry | undefined, Partial<FoldContext>, Partial<Unsent>]>([
    ['there is none before', undefined, {}, {}],
    ['the one before was sent', entry({ set: { title: 'b' } }, { status: 'syncing' }), {}, {}],
    ['the one before was refused', entry({ set: { title: 'b' } }, { status: 'rejected' }), {}, {}],
    ['they are of different groups', entry({ set: { title: 'b' }, group: testIds() }), {}, {}],
    ['something depends on the one before', entry({ set: { title: 'b' } }), { isReferenced: () => true }, {}],
    [
      'it depends on something that came between',
      entry({ set: { title: 'b' } }),
      { positionOf: () => 2 },
      { dependsOn: [testIds()] },
    ],
    ['the one before is a delete', entry({ op: 'delete' }), {}, {}],
  ])('does not fold when %s', (_, last, context, values) => {
    expect(fold(mutation({ set: { title: 'c' }, ...values }), { ...alone, ...context, last })).toBeNull()
  })

  test('takes over what it depends on from before', () => {
    const [before, last] = [testIds(), entry({ set: { title: 'b' } }, { position: 5 })]
    const folded = fold(mutation({ set: { parentId: rowId }, dependsOn: [last.mutation.id, before] }), {
      ...alone,
      last,
      positionOf: () => 2,
    })
    expect(folded?.mutation.dependsOn).toEqual([before])
  })
})

test('increments fold to their sum', () => {
  const last = entry({ op: 'increment', inc: { useCount: 2 } })
  expect(fold(mutation({ op: 'increment', inc: { useCount: 3, other: 1 } }), { ...alone, last })?.mutation.inc).toEqual(
    { useCount: 5, other: 1 },
  )
})

describe('a delete', () => {
  const insert = entry({ op: 'insert', set: {} })
  const remove = mutation({ op: 'delete' })

  test('cancels an insert that was never sent', () => {
    expect(cancels(remove, [insert], () => false)).toBe(true)
  })

  test('does not when it was sent, is referred to, or is not the only write', () => {
    expect(cancels(remove, [{ ...insert, status: 'syncing' }], () => false)).toBe(false)
    expect(cancels(remove, [insert], () => true)).toBe(false)
    expect(cancels(remove, [insert, entry({})], () => false)).toBe(false)
    expect(cancels(remove, [entry({})], () => false)).toBe(false)
  })
})
