import { describe, expect, test } from 'vitest'
import type { TideError } from '../../protocol/error.ts'
import { packedToRows, packRows, unpackRows } from '../../protocol/rows/block-codec.ts'
import type { ColumnBlock, TableBlock } from '../../protocol/rows/block.ts'
import type { Json, Row } from '../../protocol/rows/row.ts'
import type { TableDescriptor } from '../../protocol/rows/table.ts'

const table: TableDescriptor = {
  name: 'notes',
  direction: 'rw',
  policy: 'merge',
  writers: ['member'],
  scope: { kind: 'global' },
  columns: {
    id: { name: 'id', type: 'uuid' },
    body: { name: 'body', type: 'text', nullable: true },
    size: { name: 'size', type: 'integer' },
    createdAt: { name: 'created_at', type: 'timestamptz' },
    embedding: { name: 'embedding', type: 'vector', dimension: 2, nullable: true },
  },
}

function note(number: number, change: Row = {}): Row {
  const id = `0190b3f0-0000-7000-8000-${number.toString(16).padStart(12, '0')}`
  return {
    id,
    body: `note ${number}`,
    size: number,
    createdAt: new Date(number).toISOString(),
    embedding: null,
    ...change,
  }
}

function notes(count: number, change: (number: number) => Row = () => ({})): Row[] {
  return Array.from({ length: count }, (_, number) => note(number, change(number)))
}

function kindsOf(rows: readonly Row[]): Record<string, string> {
  const { block } = packRows(table, rows, { embeddings: true })
  return Object.fromEntries(block.columns.map(({ name, kind }) => [name, kind]))
}

describe('packing', () => {
  test('takes the form of the type where values differ', () => {
    expect(kindsOf(notes(300))).toEqual({
      id: 'uuid',
      body: 'text',
      size: 'number',
      createdAt: 'time',
      embedding: 'vector',
    })
  })

  test('writes a value that all rows share once', () => {
    expect(kindsOf(notes(20, () => ({ body: null, size: 1 })))).toMatchObject({ body: 'const', size: 'const' })
  })

  test('writes one byte per row where values repeat', () => {
    expect(kindsOf(notes(600, (number) => ({ body: `note ${number % 256}` })))).toMatchObject({ body: 'dict' })
    expect(kindsOf(notes(600, (number) => ({ body: `note ${number % 257}` })))).toMatchObject({ body: 'text' })
  })

  test('keeps values that are not in the form of their type as they are', () => {
    const rows = notes(300, (number) =>
      number === 7 ? { createdAt: '2026-01-01T00:00:00.000+02:00', id: 'ABC', size: 'many' } : {},
    )
    expect(kindsOf(rows)).toMatchObject({ createdAt: 'text', id: 'text', size: 'list' })
    expect(packedToRows(table, packRows(table, rows, { embeddings: true }))).toEqual(rows)
  })

  test('keeps nulls among values', () => {
    const rows = notes(300, (number) =>
      number % 3 === 0 ? { body: null, size: null } : { embedding: Float32Array.of(number, 1) },
    )
    expect(kindsOf(rows)).toMatchObject({ body: 'text', size: 'number', embedding: 'vector' })
    expect(packedToRows(table, packRows(table, rows, { embeddings: true }))).toEqual(rows)
  })

  test('keeps texts of all scripts, and a mark at their beginning', () => {
    const bodies = ['ä', '日本', '😀b', '\ufeffmark', '', 'plain']
    const rows = notes(600, (number) => ({ body: `${bodies[number % 6]}${number}` }))
    expect(packedToRows(table, packRows(table, rows, { embeddings: true }))).toEqual(rows)
  })

  test('gives vectors of their own, not views into the frame', () => {
    const rows = notes(2, () => ({ embedding: Float32Array.of(1, 2) }))
    const vector = packedToRows(table, packRows(table, rows, { embeddings: true }))[0]?.['embedding']
    expect(vector).toEqual(Float32Array.of(1, 2))
    expect(vector instanceof Float32Array && vector.buffer.byteLength).toBe(8)
  })
})

describe('a block of another version', () => {
  const { block, sections } = packRows(table, notes(3), { embeddings: true })

  test('may lack columns, which are null', () => {
    const older = { ...block, columns: block.columns.filter(({ name }) => name !== 'size') }
    expect(unpackRows(table, older, sections)).toEqual(notes(3, () => ({ size: null })))
  })

  test('may have columns that are not known here, which are ignored', () => {
    const newer: TableBlock = {
      ...block,
      columns: [...block.columns, { name: 'constructor', kind: 'const', value: 1 }],
    }
    expect(unpackRows(table, newer, sections)).toEqual(notes(3))
  })
})

describe('a block that does not add up is refused', () => {
  const sections = [
    new Uint8Array(32),
    Uint8Array.of(0xff),
    new Uint8Array(0),
    Uint8Array.of(0x80),
    Uint8Array.of(0xff, 0xff, 0xff, 0xff, 0x7f),
    Uint8Array.of(0xc3),
    Uint8Array.of(1),
    new TextEncoder().encode('[1,   2,   3]'),
  ]
  const refused: readonly [why: string, count: number, ...columns: (ColumnBlock | Record<string, Json>)[]][] = [
    ['has a huge count without values', 2 ** 40, { name: 'body', kind: 'const', value: 1 }],
    ['has a count that is no whole number', 1.5, { name: 'body', kind: 'const', value: 1 }],
    ['has too few values', 2, { name: 'body', kind: 'json', values: [1] }],
    ['has a section that is too long', 1, { name: 'id', kind: 'uuid', section: 0 }],
    ['has a section that is missing', 2, { name: 'id', kind: 'uuid', section: 99 }],
    ['has a code beyond its values', 32, { name: 'body', kind: 'dict', values: [], section: 0 }],
    ['has a vector without dimension', 4, { name: 'embedding', kind: 'vector', dimension: 0, section: 0 }],
    [
      'has more values than are present',
      5,
      { name: 'embedding', kind: 'vector', dimension: 2, present: 1, section: 0 },
    ],
    ['does not say of all rows which are null', 9, { name: 'size', kind: 'number', present: 1, section: 0 }],
    ['has fewer lengths than texts', 33, { name: 'body', kind: 'text', lengths: 0, section: 2 }],
    ['has lengths that do not add up to its bytes', 32, { name: 'body', kind: 'text', lengths: 0, section: 0 }],
    ['has a length without an end', 1, { name: 'body', kind: 'text', lengths: 3, section: 2 }],
    ['has a length beyond all sections', 1, { name: 'body', kind: 'text', lengths: 4, section: 2 }],
    ['has texts that are no UTF-8', 1, { name: 'body', kind: 'text', lengths: 6, section: 5 }],
    ['has a list that is no JSON', 2, { name: 'body', kind: 'list', section: 0 }],
    ['has a list of another length', 2, { name: 'body', kind: 'list', section: 7 }],
    ['has an unknown packing', 1, { name: 'id', kind: 'zip', section: 0 }],
    ['has a column without name', 1, { kind: 'const', value: 1 }],
    ['has a column that is not known here and does not add up', 1, { name: 'other', kind: 'json', values: [] }],
  ]
  test.each(refused)('when it %s', (_, count, ...columns) => {
    const block = { table: 'notes', count, columns } as unknown as TableBlock
    expect(() => unpackRows(table, block, sections)).toThrow(
      expect.objectContaining({ code: 'bad_frame' }) as TideError,
    )
  })

  test('when it holds a time beyond all dates', () => {
    const block: TableBlock = { table: 'notes', count: 1, columns: [{ name: 'createdAt', kind: 'time', section: 0 }] }
    const times = new Uint8Array(Float64Array.of(Number.NaN).buffer)
    expect(() => unpackRows(table, block, [times])).toThrow('column "createdAt" holds a time beyond all dates')
  })
})
