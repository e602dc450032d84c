import { describe, expect, test } from 'vitest'
import type { Resolution } from '../../protocol/messages/mutation.ts'
import type { Json, Row } from '../../protocol/rows/row.ts'
import { resolveConflict } from '../../server/mutation/resolve-conflict.ts'
import { documents } from './documents.ts'

const deletedAt = '2026-11-22T01:00:00.000Z'
const row: Row = {
  id: 'r',
  deletedAt: null,
  title: 'theirs',
  rank: 1,
  uses: 5,
  tags: ['a', 'theirs'],
  meta: { x: 2, later: 1 },
  status: 'doing',
  version: 4,
  ownerId: 'u',
}

function resolve(resolution: Resolution, kind: string, fields: Readonly<Record<string, Json>>, over: Row = {}) {
  return resolveConflict({
    table: documents,
    row: { ...row, ...over },
    conflict: { kind, fields },
    resolution,
    deletedAt,
  })
}
const client = { take: 'client' } as const
const manual = (patch: Record<string, Json>) => ({ take: 'manual', patch }) as const
const settles = (set: object) => ({ kind: 'settle', set })
const refused = (code: string) => ({ kind: 'refused', refusal: { code } })

describe('taking the client side', () => {
  test('writes the losing value', () => {
    expect(resolve(client, 'field', { title: { base: 'A', mine: 'mine', theirs: 'theirs' } })).toEqual(
      settles({ title: 'mine' }),
    )
  })

  test('writes of an object only the keys that the device had changed', () => {
    expect(
      resolve(client, 'field', { meta: { base: { x: 1, y: 1 }, mine: { x: 3, y: 1 }, theirs: { x: 2 } } }),
    ).toEqual(settles({ meta: { x: 3, later: 1 } }))
  })

  test('keeps in a set what others did to it', () => {
    expect(resolve(client, 'delete_update', { tags: { base: ['a'], mine: ['b'], theirs: ['a'] } })).toEqual(
      settles({ tags: ['b', 'theirs'] }),
    )
  })

  test('changes nothing where the row has the value meanwhile', () => {
    expect(resolve(client, 'field', { title: { base: 'A', mine: 'theirs', theirs: 'B' } })).toEqual(settles({}))
  })

  test('moves a status by legal steps only', () => {
    expect(resolve(client, 'transition', { status: { base: 'pending', mine: 'done', theirs: 'doing' } })).toEqual(
      settles({ status: 'done' }),
    )
    expect(
      resolve(
        client,
        'transition',
        { status: { base: 'pending', mine: 'doing', theirs: 'stuck' } },
        { status: 'stuck' },
      ),
    ).toMatchObject(refused('transition_refused'))
  })

  test('deletes where the client deleted, and brings back where the server did', () => {
    expect(resolve(client, 'update_delete', { title: { base: 'A', mine: null, theirs: 'theirs' } })).toEqual(
      settles({ deletedAt }),
    )
    expect(resolve(client, 'update_delete', {}, { deletedAt })).toEqual(settles({}))
    expect(
      resolve(client, 'delete_update', { title: { base: 'A', mine: 'mine', theirs: 'A' } }, { deletedAt }),
    ).toEqual(settles({ title: 'mine', deletedAt: null }))
    expect(resolve(client, 'field', { title: { base: 'A', mine: 'mine', theirs: 'B' } }, { deletedAt })).toMatchObject(
      refused('row_deleted'),
    )
  })
})

describe('taking neither side', () => {
  test('changes nothing for the server side', () => {
    expect(resolve({ take: 'server' }, 'field', { title: { base: 'A', mine: 'mine', theirs: 'B' } })).toEqual(
      settles({}),
    )
  })

  test.each([
    ['writes the patch', { title: 'both', rank: 2 }, settles({ title: 'both', rank: 2 })],
    ['leaves server columns alone', { version: 9 }, settles({})],
    ['refuses unknown columns', { nothing: 1 }, refused('unknown_column')],
    ['refuses fixed columns', { ownerId: '01a2010e-0c45-77c9-82b7-38d9bd3b37cc' }, refused('unknown_column')],
    ['refuses counters', { uses: 9 }, refused('unknown_column')],
    ['refuses values that do not fit', { title: '' }, refused('invalid_value')],
    ['refuses moves that are not legal', { status: 'nowhere' }, refused('transition_refused')],
  ] as const)('%s', (_, patch, expected) => {
    expect(resolve(manual(patch), 'field', {})).toMatchObject(expected)
  })
})
