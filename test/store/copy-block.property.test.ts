// The way of blocks into a COPY against the way of rows, byte by byte.
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { encodeBlock } from '../../client-sdk/store/copy-block.ts'
import { canCopy, encodeCopy } from '../../client-sdk/store/copy-binary.ts'
import { jsonElements } from '../../client-sdk/store/json-elements.ts'
import { packRows } from '../../protocol/rows/block-codec.ts'
import type { Row } from '../../protocol/rows/row.ts'
import { sampleRows, sampleTable } from '../protocol/sample-table.ts'

const columns = Object.entries(sampleTable.columns)
const copyable = columns.filter(([, { type }]) => type !== 'interval' && type !== 'inet')

/** Few and many rows, so that every packing is met. */
const rows = fc
  .tuple(sampleRows, fc.integer({ min: 1, max: 20 }))
  .map(([some, times]) =>
    Array.from({ length: times }, (_, round) =>
      some.map((row): Row => ({ ...row, id: `${String(row['id']).slice(0, 34)}${(round + 16).toString(16)}` })),
    ).flat(),
  )
  .filter((all) => all.length > 0)

test('a block is encoded as its rows are', () => {
  fc.assert(
    fc.property(rows, (all) => {
      const packed = packRows(sampleTable, all, { embeddings: true })
      expect(encodeBlock(copyable, packed)).toEqual(encodeCopy(copyable, all))
    }),
    { numRuns: 150 },
  )
})

test('a block is left to the way of rows where a column has no binary form', () => {
  fc.assert(
    fc.property(rows, (all) => {
      const encoded = encodeBlock(columns, packRows(sampleTable, all, { embeddings: true }))
      expect(encoded !== undefined).toBe(canCopy(columns, all))
    }),
    { numRuns: 50 },
  )
})

test('a list of JSON falls into its elements, whatever they hold', () => {
  const json = fc.array(fc.jsonValue(), { maxLength: 8 })
  const spaces = fc.constantFrom(0, 1)
  fc.assert(
    fc.property(json, spaces, (list, indent) => {
      const next = jsonElements(new TextEncoder().encode(JSON.stringify(list, null, indent).replaceAll('\n', '')))
      const found = list.map(() => JSON.parse(new TextDecoder().decode(next())) as unknown)
      expect(found).toEqual(JSON.parse(JSON.stringify(list)))
    }),
    { numRuns: 500 },
  )
})
