import { beforeEach, expect, test } from 'vitest'
import { seededRandom } from '../../lib/random.ts'
import type { Filter, OrderBy, Query } from '../../protocol/rows/filter.ts'
import { compileFilter, compileOrder } from '../../protocol/rows/matcher.ts'
import type { Row } from '../../protocol/rows/row.ts'
import { contractSchema } from './contract-schema.ts'
import {
  channelA,
  channelB,
  idOf,
  issue,
  note,
  pickFrom,
  projectA,
  randomIssue,
  vectorOf,
  withoutVectors,
} from './contract-rows.ts'
import type { Subject } from './contract-subject.ts'

const filters: readonly [Filter, ...Filter[]] = [
  {},
  { status: 'open' },
  { status: { in: ['open', 'busy'] }, urgent: true },
  { status: { notIn: ['done'] } },
  { projectId: projectA },
  { projectId: null },
  { id: idOf(3) },
  { id: { in: [idOf(1), idOf(200), idOf(5)] }, status: 'open' },
  { price: { gt: 1 } },
  { exact: '10000' },
  { exact: { lt: '10000.00' } },
  { bytes: { gte: -1, lte: 1 } },
  { ratio: { ne: 0 } },
  { title: { like: 'a%' } },
  { title: { ilike: '_b\\%' } },
  { title: { gt: '\u{1f600}' } },
  { title: { lte: '\uff41' } },
  { dueAt: { lt: '2023-11-14T22:13:20Z' } },
  { dueAt: { isNull: false } },
  { dueDate: { gte: '2023-11-14' } },
  { labels: { contains: 'NULL' } },
  { meta: { contains: { a: 1 } } },
  { meta: { contains: [1] } },
  { not: { price: { lt: 0 } } },
  { or: [{ priority: { gt: 2 } }, { price: null }] },
  { and: [{ urgent: false }, { not: { or: [{ status: 'done' }, { priority: 1 }] } }] },
  { channel: channelB, urgent: { ne: true } },
]

const orders: readonly [readonly OrderBy[], ...(readonly OrderBy[])[]] = [
  [],
  [{ priority: 'asc' }],
  [{ dueAt: 'desc' }],
  [{ title: 'asc' }, { price: 'desc' }],
  [{ exact: 'asc' }],
  [{ urgent: 'desc', dueDate: 'asc' }],
  [{ ratio: 'desc' }],
  [{ id: 'desc' }],
]

function expected(rows: readonly Row[], { where, orderBy, limit, offset = 0, withDeleted }: Query): readonly Row[] {
  const matches = where === undefined ? () => true : compileFilter(contractSchema.issues, where)
  const found = rows.filter((row) => (withDeleted === true || row['deletedAt'] === null) && matches(row))
  const sorted = found.toSorted(compileOrder(contractSchema.issues, orderBy ?? []))
  return sorted.slice(offset, limit === undefined ? undefined : offset + limit)
}

/** Reading by filter and by vector. */
export function queryContract(subject: Subject): void {
  const random = seededRandom(11)
  const rows = Array.from({ length: 1500 }, (_, index) => randomIssue(index, random))

  const load = (): Promise<void> => subject.store.commit({ rows: [{ table: 'issues', upserts: rows, deletes: [] }] })

  test.each(filters.map((where) => ({ where, name: JSON.stringify(where) })))(
    'selects what the matcher selects: $name',
    async ({ where }) => {
      await load()
      for (const orderBy of orders) {
        const query = { where, orderBy, ...(random.next() < 0.5 ? {} : { limit: 1 + Math.floor(random.next() * 50) }) }
        expect(await subject.store.query('issues', query)).toEqual(expected(rows, query))
      }
    },
  )

  test('cuts windows out of one order', async () => {
    await load()
    for (let round = 0; round < 20; round++) {
      const query = {
        where: pickFrom(random, filters),
        orderBy: pickFrom(random, orders),
        offset: Math.floor(random.next() * 40),
        limit: Math.floor(random.next() * 40),
        withDeleted: random.next() < 0.5,
      }
      expect(await subject.store.query('issues', query)).toEqual(expected(rows, query))
    }
  })

  test('keeps answering rightly while the rows of a reference change', async () => {
    const rare = idOf(0xc)
    const query = { where: { projectId: rare }, withDeleted: true }
    const refer = (every: number): Row[] =>
      rows.map((row, index) => (index % every === 0 ? { ...row, projectId: rare } : row))
    const write = (upserts: readonly Row[], deletes: readonly string[]): Promise<void> =>
      subject.store.commit({ rows: [{ table: 'issues', upserts, deletes }] })

    await write(refer(50), [])
    expect(await subject.store.query('issues', query)).toEqual(expected(refer(50), query))
    await write(refer(70).slice(0, 1000), [])
    await write([], [idOf(1050), idOf(70)])
    const now = [...refer(70).slice(0, 1000), ...refer(50).slice(1000)]
    const left = now.filter((row) => row['id'] !== idOf(1050) && row['id'] !== idOf(70))
    expect(await subject.store.query('issues', query)).toEqual(expected(left, query))
    await subject.store.commit({ resets: ['issues'] })
    expect(await subject.store.query('issues', query)).toEqual([])
  })

  test('refuses a filter on a column that does not exist', async () => {
    await expect(subject.store.query('issues', { where: { statsu: 'open' } })).rejects.toThrow(/statsu/)
  })

  test('shows deleted rows only when asked', async () => {
    const gone = issue(1, channelA, { deletedAt: '2026-01-01T00:00:00.000Z' })
    await subject.store.commit({ rows: [{ table: 'issues', upserts: [gone, issue(2, channelA)], deletes: [] }] })
    expect(await subject.store.query('issues', {})).toEqual([issue(2, channelA)])
    expect(await subject.store.query('issues', { withDeleted: true })).toEqual([gone, issue(2, channelA)])
    expect(await subject.store.rows('issues', [idOf(1)])).toEqual([gone])
  })

  nearestContract(subject)

  test('answers SQL and refuses to write by it, where it speaks it', async () => {
    const { store } = subject
    if (store.sql === undefined) return
    await load()
    const counted = await store.sql(
      'select status, count(*) as rows from issues where priority > $1 group by status order by status',
      [0],
    )
    const counts = Map.groupBy(
      rows.filter((row) => Number(row['priority']) > 0),
      (row) => String(row['status']),
    )
    expect(counted).toEqual(
      [...counts]
        .map(([status, group]) => ({ status, rows: group.length }))
        .toSorted((a, b) => (a.status < b.status ? -1 : 1)),
    )
    await expect(store.sql('delete from issues', [])).rejects.toThrow(/read-only/)
    await expect(store.sql('create table t (a int)', [])).rejects.toThrow(/read-only/)
    expect(await store.query('issues', { withDeleted: true })).toHaveLength(rows.length)
  })
}

function nearestContract(subject: Subject): void {
  const random = seededRandom(12)
  const notes = Array.from({ length: 400 }, (_, index) =>
    note(index, index % 2 === 0 ? channelA : channelB, {
      embedding: index % 10 === 0 ? null : vectorOf(random),
      deletedAt: index % 7 === 0 ? '2026-01-01T00:00:00.000Z' : null,
    }),
  )
  const zero = note(1000, channelA, { embedding: new Float32Array(8) })

  beforeEach(async () => {
    await subject.store.commit({ rows: [{ table: 'notes', upserts: [...notes, zero], deletes: [] }] })
  })

  const cosine = (a: Float32Array, b: Float32Array): number => {
    const dot = (x: Float32Array, y: Float32Array): number =>
      x.reduce((sum, value, index) => sum + value * (y[index] ?? 0), 0)
    return dot(a, b) / Math.sqrt(dot(a, a) * dot(b, b))
  }

  const brute = (vector: Float32Array, rows: readonly Row[], limit: number) =>
    rows
      .filter((row) => row['deletedAt'] === null && row['embedding'] instanceof Float32Array)
      .map((row) => ({
        row: withoutVectors(row),
        score: row['embedding'] instanceof Float32Array ? cosine(vector, row['embedding']) : 0,
      }))
      .toSorted((a, b) => b.score - a.score)
      .slice(0, limit)

  /** What the store finds beside what looking at every row finds; `error`: the largest difference of scores. */
  const search = async (rows: readonly Row[], limit: number, where: Filter = {}) => {
    const vector = vectorOf(random)
    const hits = await subject.store.nearest('notes', { column: 'embedding', vector, limit, where })
    const wanted = brute(vector, rows, limit)
    const error = Math.max(0, ...hits.map((hit, index) => Math.abs(hit.score - (wanted[index]?.score ?? Infinity))))
    return { found: hits.map((hit) => hit.row), wanted: wanted.map((hit) => hit.row), error }
  }

  test('finds the nearest rows exactly', async () => {
    const inA = notes.filter((row) => row['channel'] === channelA)
    const searches = [
      await search(notes, 10),
      await search(notes, 1000),
      await search(inA, 7, { channel: channelA }),
      await search(notes, 0),
    ]
    for (const { found, wanted, error } of searches) {
      expect(found).toEqual(wanted)
      expect(error).toBeLessThan(1e-5)
    }
  })

  test('follows vectors as rows change and go', async () => {
    const changed = notes.slice(0, 100).map((row) => ({ ...row, embedding: vectorOf(random) }))
    await subject.store.commit({
      rows: [{ table: 'notes', upserts: changed, deletes: notes.slice(350).map((row) => String(row['id'])) }],
    })
    const rows = [...changed, ...notes.slice(100, 350)]
    const before = await search(rows, 20)
    expect(before.found).toEqual(before.wanted)
    await subject.reopen()
    const after = await search(rows, 20)
    expect(after.found).toEqual(after.wanted)
  })

  test('filters by whether there is a vector', async () => {
    const without = await subject.store.query('notes', { where: { embedding: null }, withDeleted: true })
    expect(without).toEqual(notes.filter((row) => row['embedding'] === null).map(withoutVectors))
  })
}
