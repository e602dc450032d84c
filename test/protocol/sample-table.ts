// A table with a column of every type, for tests of the protocol alone.
import fc from 'fast-check'
import type { Row, Value } from '../../protocol/rows/row.ts'
import type { ColumnDescriptor, TableDescriptor } from '../../protocol/rows/table.ts'

export const sampleTable: TableDescriptor = {
  name: 'samples',
  direction: 'rw',
  policy: 'merge',
  writers: ['member'],
  scope: { kind: 'columns', columns: [{ scope: 'project', column: 'projectId' }], fallback: 'organization' },
  columns: {
    id: { name: 'id', type: 'uuid' },
    organizationId: { name: 'organization_id', type: 'uuid' },
    projectId: { name: 'project_id', type: 'uuid', nullable: true },
    channel: { name: 'channel', type: 'text' },
    version: { name: 'version', type: 'integer' },
    title: { name: 'title', type: 'text', nullable: true },
    size: { name: 'size', type: 'bigint', nullable: true },
    ratio: { name: 'ratio', type: 'double', nullable: true },
    price: { name: 'price', type: 'numeric', precision: 12, scale: 2, nullable: true },
    exact: { name: 'exact', type: 'numeric', precision: 30, scale: 6, nullable: true },
    isOpen: { name: 'is_open', type: 'boolean', nullable: true },
    dueAt: { name: 'due_at', type: 'timestamptz', nullable: true },
    day: { name: 'day', type: 'date', nullable: true },
    pause: { name: 'pause', type: 'interval', nullable: true },
    metadata: { name: 'metadata', type: 'jsonb', nullable: true },
    tags: { name: 'tags', type: 'text[]', nullable: true },
    bytes: { name: 'bytes', type: 'bytea', nullable: true },
    address: { name: 'address', type: 'inet', nullable: true },
    embedding: { name: 'embedding', type: 'vector', dimension: 3, nullable: true },
  },
}

/** Values chosen small so that equal ones meet, with the odd ones that trip comparisons. */
const texts = [
  '',
  'a',
  'A',
  'b',
  'ab',
  'aB',
  'Ab%',
  'a_b',
  'a\\b',
  'ä',
  'Ä',
  'ﬁ',
  'K',
  '😀',
  'ｚ',
  '{a,"b"}',
  'null',
  "it's",
  'a😀b',
]
const uuids = [1, 2, 3, 0xa, 0xf].map((n) => `0190b3f0-0000-7000-8000-00000000000${n.toString(16)}`)
const days = ['2026-01-01', '2024-02-29', '1969-12-31', '0001-01-01', '9999-12-31']

export const sampleText = fc.constantFrom(...texts)
export const sampleTime = fc
  .oneof(
    fc.constantFrom(0, -1, 1_782_870_000_123, 1_782_870_000_124),
    fc.integer({ min: -62_135_596_800_000, max: 253_402_300_799_999 }),
  )
  .map((ms) => new Date(ms).toISOString())
const sampleJson = fc.oneof(
  fc.dictionary(
    fc.constantFrom('a', 'b', '__proto__'),
    fc.constantFrom<Value>(1, 2, null, 'x', true, [1], { c: 1 }, { c: 1, d: 2 }),
  ),
  fc.array(fc.constantFrom<Value>(1, 'x', null, true), { maxLength: 3 }),
)

/** A value of the column in its canonical form, not null. */
export function valueOf(column: ColumnDescriptor): fc.Arbitrary<Value> {
  switch (column.type) {
    case 'uuid':
      return fc.constantFrom(...uuids)
    case 'text':
      return sampleText
    case 'integer':
      return fc.oneof(fc.integer({ min: -3, max: 3 }), fc.integer())
    case 'bigint':
      return fc.oneof(fc.integer({ min: -3, max: 3 }), fc.maxSafeInteger())
    case 'double':
      return fc.oneof(
        fc.constantFrom(0, 0.1, 0.30000000000000004, 1e21, -2),
        fc.double({ noNaN: true, noDefaultInfinity: true }).map((n) => n + 0),
      )
    case 'numeric':
      return column.precision === 30
        ? fc.constantFrom(
            '0.100000',
            '1.000000',
            '123456789012345678901234.500000',
            '123456789012345678901234.500001',
            '-7.000000',
          )
        : fc.integer({ min: -500, max: 500 }).map((cents) => cents / 100 + 0)
    case 'boolean':
      return fc.boolean()
    case 'timestamptz':
      return sampleTime
    case 'date':
      return fc.constantFrom(...days)
    case 'interval':
      return fc.constantFrom('01:00:00', '1 day')
    case 'jsonb':
      return sampleJson as fc.Arbitrary<Value>
    case 'text[]':
      return fc.uniqueArray(sampleText, { maxLength: 3 })
    case 'bytea':
      return fc.constantFrom('AQID', '')
    case 'inet':
      return fc.constantFrom('10.0.0.1', '::1')
    case 'vector':
      return fc.float32Array({ minLength: 3, maxLength: 3, noNaN: true, noDefaultInfinity: true })
  }
}

export const sampleRow: fc.Arbitrary<Row> = fc.record(
  Object.fromEntries(
    Object.entries(sampleTable.columns).map(([property, column]) => {
      const value = property === 'id' ? fc.uuid({ version: 7 }) : valueOf(column)
      return [property, column.nullable ? fc.option(value, { nil: null, freq: 3 }) : value]
    }),
  ),
)

export const sampleRows = fc.uniqueArray(sampleRow, { maxLength: 60, selector: (row) => row['id'] })
