import { describe, expect, test } from 'vitest'
import { decide } from '../../server/mutation/decide.ts'
import type { DecideInput } from '../../server/mutation/decision.ts'
import type { Json, Row } from '../../protocol/rows/row.ts'
import { documents } from './documents.ts'

const now = Date.parse('2026-11-22T01:00:00.000Z')
const id = '01a2010e-0c45-77c9-82b7-38d9bd3b37cc'

const row: Row = {
  id,
  organizationId: id,
  version: 3,
  deletedAt: null,
  ownerId: id,
  title: 'A',
  body: 'one\ntwo\nthree',
  note: null,
  rank: 1,
  price: '0.10000000',
  uses: 5,
  tags: ['a', 'b'],
  meta: { x: 1, y: 1 },
  seen: null,
  status: 'pending',
  place: null,
}
const deleted: Row = { ...row, deletedAt: '2026-11-21T00:00:00.000Z' }

type Fields = Readonly<Record<string, Json>>

function patch(set: Fields, base: Fields, over: Partial<DecideInput> = {}) {
  return decide({ table: documents, row, mutation: { op: 'patch', rowId: id, set, base }, now, ...over })
}
function write(
  op: 'insert' | 'delete' | 'restore' | 'increment',
  fields: Partial<DecideInput['mutation']> = {},
  over: Partial<DecideInput> = {},
) {
  return decide({ table: documents, row, mutation: { op, rowId: id, ...fields }, now, ...over })
}

const applied = (set: object, merged = false) => ({ kind: 'update', set, inc: {}, merged, ignored: [] })
const noop = { kind: 'noop', ignored: [] }
const rejected = (code: string) => ({ kind: 'rejected', error: { code } })
const conflict = (kind: string, fields: object, apply: object = {}) => ({
  kind: 'conflict',
  conflict: kind,
  fields,
  apply,
  ignored: [],
})

describe('a patch under policy merge', () => {
  test.each([
    ['of an untouched column is applied', { title: 'B' }, { title: 'A' }, applied({ title: 'B' })],
    ['of a value that somebody else wrote already is nothing', { title: 'A' }, { title: 'Z' }, noop],
    ['of no change is nothing', { title: 'Z' }, { title: 'Z' }, noop],
    [
      'of a changed column is a conflict',
      { title: 'B' },
      { title: 'Z' },
      conflict('field', { title: { base: 'Z', mine: 'B', theirs: 'A' } }),
    ],
    [
      'applies what does not overlap',
      { title: 'B', rank: 2 },
      { title: 'Z', rank: 1 },
      conflict('field', { title: { base: 'Z', mine: 'B', theirs: 'A' } }, { rank: 2 }),
    ],
    ['from null is compared too', { note: 'n' }, { note: null }, applied({ note: 'n' })],
    ['of null where there is null is nothing', { note: null }, { note: 'x' }, noop],
    ['compares numerics as numbers of their scale', { price: 0.2 }, { price: '0.1' }, applied({ price: '0.20000000' })],
    [
      'of different lines merges',
      { body: 'one\ntwo\nTHREE' },
      { body: 'ONE\ntwo\nthree' },
      applied({ body: 'one\ntwo\nTHREE' }, true),
    ],
    [
      'of the same line is a text conflict',
      { body: 'MINE\ntwo\nthree' },
      { body: 'base\ntwo\nthree' },
      conflict('text', { body: { base: 'base\ntwo\nthree', mine: 'MINE\ntwo\nthree', theirs: 'one\ntwo\nthree' } }),
    ],
    ['of a set adds and removes', { tags: ['b', 'c'] }, { tags: ['b', 'd'] }, applied({ tags: ['b', 'a', 'c'] }, true)],
    ['of a set in another order is nothing', { tags: ['b', 'a'] }, { tags: [] }, noop],
    [
      'of other keys of an object merges',
      { meta: { y: 0, z: 9 } },
      { meta: { y: 0 } },
      applied({ meta: { x: 1, y: 1, z: 9 } }, true),
    ],
    [
      'of the same key applies the other keys',
      { meta: { y: 2, z: 9 } },
      { meta: { y: 0 } },
      conflict(
        'field',
        { meta: { base: { y: 0 }, mine: { y: 2, z: 9 }, theirs: { x: 1, y: 1 } } },
        { meta: { x: 1, y: 1, z: 9 } },
      ),
    ],
    ['of a lww column needs no base', { place: 'p' }, {}, applied({ place: 'p' })],
    [
      'of a silent column needs no base',
      { seen: '2026-11-22T00:00:00Z' },
      {},
      applied({ seen: '2026-11-22T00:00:00.000Z' }),
    ],
    ['without a base is refused', { title: 'B' }, {}, rejected('invalid_value')],
    ['of a counter is refused', { uses: 7 }, { uses: 5 }, rejected('invalid_value')],
    [
      'of a fixed column is refused',
      { ownerId: '01a2010e-0c45-77c9-82b7-38d9bd3b37cd' },
      { ownerId: id },
      rejected('unknown_column'),
    ],
    ['that repeats a fixed column is nothing', { ownerId: id }, { ownerId: id }, noop],
    [
      'of a server column is ignored and reported',
      { version: 9, title: 'B' },
      { title: 'A' },
      { ...applied({ title: 'B' }), ignored: ['version'] },
    ],
    ['of an unknown column is refused', { __proto__x: 1 }, {}, rejected('unknown_column')],
    ['of an inherited name is refused', { constructor: 1 }, {}, rejected('unknown_column')],
    ['of a value of another type is refused', { rank: 'x' }, { rank: 1 }, rejected('invalid_value')],
    ['of a value out of bounds is refused', { title: '' }, { title: 'A' }, rejected('invalid_value')],
    [
      'may have a base that today would be out of bounds',
      { title: 'B' },
      { title: '' },
      conflict('field', { title: { base: '', mine: 'B', theirs: 'A' } }),
    ],
    [
      'takes a null base of a column that cannot be null as what the server chose',
      { rank: 2 },
      { rank: null },
      applied({ rank: 2 }),
    ],
  ] as const)('%s', (_, set, base, expected) => {
    expect(patch(set, base)).toMatchObject(expected)
  })

  test('of text does not merge into a value that does not fit', () => {
    const long = 'x'.repeat(60)
    const result = patch({ body: `${long}\nb\nc` }, { body: 'a\nb\nc' }, { row: { ...row, body: `a\nb\n${long}` } })
    expect(result).toMatchObject({ kind: 'conflict', conflict: 'text' })
  })

  test('of nothing that exists is not found', () => {
    expect(patch({ title: 'B' }, { title: 'A' }, { row: null })).toMatchObject(rejected('not_found'))
  })

  test('names the value in its refusal', () => {
    expect(patch({ rank: 'seven' }, { rank: 1 })).toMatchObject({
      error: { message: expect.stringMatching(/documents.*rank.*'seven'/) },
    })
  })
})

describe('a status', () => {
  test.each([
    ['moves a legal step', 'pending', 'doing', applied({ status: 'doing' })],
    ['skips steps that are legal each', 'pending', 'done', applied({ status: 'done' })],
    ['goes back to the start where that is legal', 'done', 'pending', applied({ status: 'pending' })],
    [
      'does not skip through the start',
      'done',
      'doing',
      conflict('transition', { status: { base: 'done', mine: 'doing', theirs: 'done' } }),
    ],
  ] as const)('%s', (_, from, to, expected) => {
    expect(patch({ status: to }, { status: from }, { row: { ...row, status: from } })).toMatchObject(expected)
  })

  test('that two devices moved differently is a transition conflict', () => {
    expect(patch({ status: 'done' }, { status: 'doing' })).toMatchObject(
      conflict('transition', { status: { base: 'doing', mine: 'done', theirs: 'pending' } }),
    )
  })
})

describe('other policies', () => {
  test('lww takes the last arrival of each column', () => {
    expect(patch({ title: 'B', rank: 1 }, {}, { table: { ...documents, policy: 'lww' } })).toMatchObject(
      applied({ title: 'B' }),
    )
  })

  test('append lets nothing change but lww columns', () => {
    const table = { ...documents, policy: 'append' } as const
    expect(patch({ title: 'B' }, { title: 'A' }, { table })).toMatchObject(rejected('unknown_column'))
    expect(patch({ place: 'p' }, {}, { table })).toMatchObject(applied({ place: 'p' }))
  })

  test('append lets the device that streams a message complete it', () => {
    const input = { table: { ...documents, policy: 'append' }, row: { ...row, status: 'streaming' } } as const
    expect(patch({ title: 'whole' }, {}, { ...input, ownRow: true })).toMatchObject(applied({ title: 'whole' }))
    expect(patch({ title: 'whole' }, {}, { ...input, ownRow: false })).toMatchObject(rejected('unknown_column'))
    expect(patch({ ownerId: '01a2010e-0c45-77c9-82b7-38d9bd3b37cd' }, {}, { ...input, ownRow: true })).toMatchObject(
      rejected('unknown_column'),
    )
  })

  test('server and read-only tables refuse every write', () => {
    expect(patch({ title: 'B' }, { title: 'A' }, { table: { ...documents, policy: 'server' } })).toMatchObject(
      rejected('forbidden'),
    )
    expect(patch({ title: 'B' }, { title: 'A' }, { table: { ...documents, direction: 'ro' } })).toMatchObject(
      rejected('forbidden'),
    )
  })
})

describe('an insert', () => {
  const set = { ownerId: id, title: 'A' }
  const keyed = { ...documents, policy: 'set', naturalKey: ['ownerId', 'title'] } as const

  test('is refused without a value for a required column', () => {
    expect(write('insert', { set }, { row: null })).toEqual({ kind: 'insert', values: set, ignored: [] })
    expect(write('insert', { set: { title: 'A' } }, { row: null })).toMatchObject(rejected('invalid_value'))
  })

  test('of the same content again is nothing', () => {
    expect(write('insert', { set })).toMatchObject(noop)
    expect(write('insert', { set: { ...set, id } })).toMatchObject(noop)
  })

  test('of other content under the same id is refused', () => {
    expect(write('insert', { set: { ...set, rank: 7 } })).toMatchObject(rejected('unique_violated'))
    expect(write('insert', { set }, { row: deleted })).toMatchObject(rejected('row_deleted'))
  })

  test('under a natural key updates, and brings a deleted row back', () => {
    expect(write('insert', { set: { ...set, rank: 7 } }, { table: keyed })).toMatchObject(applied({ rank: 7 }, true))
    expect(write('insert', { set }, { table: keyed })).toMatchObject(noop)
    expect(write('insert', { set }, { table: keyed, row: deleted })).toMatchObject(applied({ deletedAt: null }, true))
  })
})

describe('a delete', () => {
  test('sets the time of the server', () => {
    expect(write('delete')).toMatchObject(applied({ deletedAt: '2026-11-22T01:00:00.000Z' }))
  })

  test('of a row that was changed since is a conflict, counters and server columns aside', () => {
    expect(write('delete', { base: { title: 'Z', rank: 1 } })).toMatchObject(
      conflict('update_delete', { title: { base: 'Z', mine: null, theirs: 'A' } }),
    )
    expect(
      write('delete', { base: { title: 'A', uses: 1, version: 1, seen: '2020-01-01T00:00:00.000Z' } }),
    ).toMatchObject({ kind: 'update' })
    expect(write('delete', { base: { title: 'Z' } }, { table: { ...documents, policy: 'lww' } })).toMatchObject({
      kind: 'update',
    })
  })

  test('of a missing or deleted row is a noop', () => {
    expect(write('delete', {}, { row: null })).toMatchObject(noop)
    expect(write('delete', {}, { row: deleted })).toMatchObject(noop)
  })

  test('is refused where rows are not deleted', () => {
    const { deletedAt: _, ...columns } = documents.columns
    expect(write('delete', {}, { table: { ...documents, columns } })).toMatchObject(rejected('forbidden'))
  })
})

describe('a deleted row', () => {
  test('stays deleted when patched, and keeps what was written', () => {
    expect(patch({ title: 'B', rank: 1 }, { title: 'A', rank: 1 }, { row: deleted })).toMatchObject(
      conflict('delete_update', { title: { base: 'A', mine: 'B', theirs: 'A' } }),
    )
    expect(patch({ title: 'A' }, { title: 'Z' }, { row: deleted })).toMatchObject(noop)
  })

  test('comes back by restore', () => {
    expect(write('restore', {}, { row: deleted })).toMatchObject(applied({ deletedAt: null }))
    expect(write('restore')).toMatchObject(noop)
    expect(write('restore', {}, { row: null })).toMatchObject(rejected('not_found'))
  })
})

describe('an increment', () => {
  test.each([
    ['adds to counters', { uses: 2 }, { kind: 'update', set: {}, inc: { uses: 2 } }],
    ['of nothing is nothing', { uses: 0 }, noop],
    ['of another column is refused', { rank: 1 }, rejected('unknown_column')],
    ['of half is refused where only whole numbers count', { uses: 0.5 }, rejected('invalid_value')],
    ['below the least is refused', { uses: -6 }, rejected('invalid_value')],
    ['beyond the type is refused', { uses: 2 ** 31 }, rejected('invalid_value')],
  ] as const)('%s', (_, inc, expected) => {
    expect(write('increment', { inc })).toMatchObject(expected)
  })

  test('of a deleted row is refused', () => {
    expect(write('increment', { inc: { uses: 1 } }, { row: deleted })).toMatchObject(rejected('row_deleted'))
  })
})
