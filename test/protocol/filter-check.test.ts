import { describe, expect, test } from 'vitest'
import type { TideError } from '../../protocol/error.ts'
import { checkFilter, checkQuery } from '../../protocol/rows/filter-check.ts'
import { sampleTable } from './sample-table.ts'

const uuid = '0190b3f0-0000-7000-8000-000000000001'

function nested(depth: number): unknown {
  return depth === 0 ? { title: 'a' } : { not: nested(depth - 1) }
}

describe('a filter is accepted', () => {
  test.each([
    { title: 'a', size: { gte: 1, lt: 5 } },
    { projectId: uuid, isOpen: true, title: null },
    { or: [{ price: '0.10' }, { exact: { in: [1, '2.5'] } }], not: { tags: { contains: 'x' } } },
    { metadata: { contains: { a: { b: [1] } } } },
    { embedding: null, pause: { isNull: false } },
    { title: { like: String.raw`100\%` } },
    nested(5),
    {},
  ])('%j', (filter) => {
    expect(checkFilter(sampleTable, filter)).toEqual(filter)
  })

  test('and its times are written as rows have them', () => {
    const checked = checkFilter(sampleTable, { dueAt: { gt: '2026-01-01T02:00+02:00', in: ['2026-01-01T00:00:00Z'] } })
    expect(checked).toEqual({ dueAt: { gt: '2026-01-01T00:00:00.000Z', in: ['2026-01-01T00:00:00.000Z'] } })
    expect(checkFilter(sampleTable, checked)).toEqual(checked)
  })
})

describe('a filter is refused, naming the part', () => {
  test.each<[string, unknown]>([
    ['where must be an object', []],
    ['where.nothing is no column', { nothing: 1 }],
    ['where.constructor is no column', { constructor: null }],
    ['where.__proto__ is no column', JSON.parse('{"__proto__":{"title":"a"}}')],
    ['where.or must be a list', { or: { title: 'a' } }],
    ['where.or[1].size must be a whole number', { or: [{ title: 'a' }, { size: 'x' }] }],
    ['where.size.gt must be a whole number', { size: { gt: 1.5 } }],
    ['where.ratio must be a finite number', { ratio: Number.NaN }],
    ['where.price must be a number or a decimal', { price: '1,5' }],
    ['where.projectId must be a UUID in lower case', { projectId: uuid.replace('b', 'B') }],
    ['where.dueAt must be a time with zone', { dueAt: '2026-01-01T00:00:00' }],
    ['where.day must be a date', { day: '2026-02-30' }],
    ['where.title must be', { title: 'a\u0000' }],
    ['where.title must be', { title: '\ud800' }],
    ['where.title.eq must not be null', { title: { eq: null } }],
    ['where.title is undefined', { title: undefined }],
    ['where.title.matches is no operator', { title: { matches: 'x' } }],
    ['where.isOpen.lt is no operator', { isOpen: { lt: true } }],
    ['where.metadata is of type jsonb', { metadata: 'x' }],
    ['where.metadata.eq is no operator', { metadata: { eq: {} } }],
    ['where.metadata.contains must be an object', { metadata: { contains: [[1]] } }],
    ['where.bytes is of type bytea', { bytes: 'AQID' }],
    ['where.tags.contains must be', { tags: { contains: ['x'] } }],
    ['where.title.in must be a list', { title: { in: 'x' } }],
    ['where.title.in has 1001 elements', { title: { in: Array.from({ length: 1001 }, () => 'x') } }],
    ['where.size.in has an element that must be', { size: { in: [1, '2'] } }],
    ['where.title.like is longer than 200', { title: { like: 'x'.repeat(201) } }],
    ['where.title.like ends with a lone', { title: { like: 'x\\' } }],
    ['is nested deeper than 6', nested(6)],
    ['goes beyond 64 entries', { or: Array.from({ length: 65 }, () => ({})) }],
  ])('%s', (message, filter) => {
    expect(() => checkFilter(sampleTable, filter)).toThrow(
      expect.objectContaining({ code: 'bad_filter', message: expect.stringContaining(message) as string }) as TideError,
    )
  })
})

describe('a query', () => {
  test('is accepted with all its parts', () => {
    const query = {
      where: { title: 'a' },
      orderBy: [{ dueAt: 'desc' }, { title: 'asc' }],
      limit: 10,
      offset: 0,
      withDeleted: true,
    }
    expect(checkQuery(sampleTable, query)).toEqual(query)
  })

  test.each<[string, unknown]>([
    ['limit must be a whole number', { limit: -1 }],
    ['offset must be a whole number', { offset: 1.5 }],
    ['withDeleted must be true or false', { withDeleted: 1 }],
    ['having is not part of a query', { having: {} }],
    ['orderBy[0].metadata is of type jsonb, which has no order', { orderBy: [{ metadata: 'asc' }] }],
    ['orderBy[0].title must be "asc" or "desc"', { orderBy: [{ title: 'up' }] }],
    ['orderBy must be a list', { orderBy: { title: 'asc' } }],
  ])('is refused: %s', (message, query) => {
    expect(() => checkQuery(sampleTable, query)).toThrow(message)
  })
})
