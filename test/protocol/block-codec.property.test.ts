import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { blocksOf, frameOf } from '../../protocol/block-frame.ts'
import { TideError } from '../../protocol/error.ts'
import { decodeFrame, encodeFrame } from '../../protocol/frame.ts'
import { decodePacket } from '../../protocol/packet-codec.ts'
import { parseDown, parseUp } from '../../protocol/parse.ts'
import { packedToRows, packRows, unpackRows } from '../../protocol/rows/block-codec.ts'
import type { TableBlock } from '../../protocol/rows/block.ts'
import type { Row } from '../../protocol/rows/row.ts'
import { sampleRows, sampleTable } from './sample-table.ts'

const page = { type: 'page', subscription: 's', from: 1, next: null } as const

/** Many rows from few, so that every packing is met. */
const manyRows = fc
  .tuple(sampleRows, fc.integer({ min: 1, max: 40 }))
  .map(([rows, times]) =>
    Array.from({ length: times }, (_, round) =>
      rows.map((row): Row => ({ ...row, id: renamed(String(row['id']), round) })),
    ).flat(),
  )

function renamed(id: string, round: number): string {
  return id.slice(0, 34) + round.toString(16).padStart(2, '0')
}

/** How a reading ends: with an answer, or with one of the errors that are allowed. Anything else is thrown on. */
function endOf(read: () => unknown): string {
  try {
    read()
    return 'read'
  } catch (error) {
    if (!(error instanceof TideError)) throw error
    return error.code
  }
}

const allowedEnds = expect.stringMatching(/^(read|bad_frame|bad_message)$/) as string

describe('blocks', () => {
  test('rows come back as they were', () => {
    fc.assert(
      fc.property(manyRows, (rows) => {
        expect(packedToRows(sampleTable, packRows(sampleTable, rows, { embeddings: true }))).toEqual(rows)
      }),
      { numRuns: 150 },
    )
  })

  test('without embeddings only the vectors are missing', () => {
    fc.assert(
      fc.property(sampleRows, (rows) => {
        const packed = packRows(sampleTable, rows, { embeddings: false })
        expect(packedToRows(sampleTable, packed)).toEqual(rows.map((row) => ({ ...row, embedding: null })))
      }),
    )
  })

  test('several blocks of one frame come back apart', () => {
    fc.assert(
      fc.property(fc.array(sampleRows, { maxLength: 4 }), (tables) => {
        const packed = tables.map((rows) => packRows(sampleTable, rows, { embeddings: true }))
        const { message, sections } = parseDown(frameOf(page, packed))
        if (message.type !== 'page') throw new Error('another message')
        expect(message.blocks.map((block) => unpackRows(sampleTable, block, sections))).toEqual(tables)
        const again = frameOf(page, blocksOf(message.blocks, sections))
        expect(again).toEqual(frameOf(page, packed))
      }),
      { numRuns: 60 },
    )
  })
})

describe('bytes from outside', () => {
  test('random bytes are read or refused, never anything else', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        expect(endOf(() => parseUp(bytes))).toEqual(allowedEnds)
        expect(endOf(() => parseDown(bytes))).toEqual(allowedEnds)
        expect(endOf(() => decodePacket(bytes))).toEqual(allowedEnds)
      }),
      { numRuns: 2000 },
    )
  })

  test('random texts are read as packets or refused', () => {
    fc.assert(
      fc.property(fc.oneof(fc.string(), fc.json()), (text) => {
        expect(endOf(() => decodePacket(text))).toEqual(allowedEnds)
      }),
      { numRuns: 1000 },
    )
  })

  test('any JSON as message is read or refused', () => {
    fc.assert(
      fc.property(fc.jsonValue(), (message) => {
        const bytes = encodeFrame({ message, sections: [] })
        expect(endOf(() => parseUp(bytes))).toEqual(allowedEnds)
        expect(endOf(() => parseDown(bytes))).toEqual(allowedEnds)
      }),
      { numRuns: 1000 },
    )
  })

  test('a frame with flipped bytes is read or refused', () => {
    const flips = fc.array(fc.tuple(fc.nat(), fc.integer({ min: 0, max: 255 })), { minLength: 1, maxLength: 8 })
    fc.assert(
      fc.property(sampleRows, flips, (rows, changes) => {
        const bytes = frameOf(page, [packRows(sampleTable, rows, { embeddings: true })])
        for (const [at, value] of changes) bytes[at % bytes.length] = value
        const end = endOf(() => {
          const { message, sections } = parseDown(bytes)
          if (message.type !== 'page') return
          blocksOf(message.blocks, sections)
          for (const block of message.blocks) expect(unpackRows(sampleTable, block, sections).length).toBe(block.count)
        })
        expect(end).toEqual(allowedEnds)
      }),
      { numRuns: 1000 },
    )
  })

  test('a block with parts replaced by any JSON is read or refused, and gives no more rows than it has bytes', () => {
    const anything = fc.oneof(
      fc.jsonValue(),
      fc.integer(),
      fc.constantFrom('const', 'dict', 'uuid', 'number', 'time', 'vector', 'text', 'list', 'json'),
    )
    const column = fc.record(
      {
        name: fc.constantFrom('id', 'title', 'embedding', 'other'),
        kind: anything,
        section: anything,
        values: anything,
        value: anything,
        dimension: anything,
        lengths: anything,
        present: anything,
      },
      { requiredKeys: [] },
    )
    const block = fc.record({
      table: anything,
      count: fc.oneof(fc.nat(20), fc.maxSafeNat(), anything),
      columns: fc.oneof(fc.array(column, { maxLength: 4 }), anything),
    })
    const sections = fc.array(fc.uint8Array({ maxLength: 64 }), { maxLength: 3 })
    fc.assert(
      fc.property(block, sections, (value, bytes) => {
        const end = endOf(() => {
          const rows = unpackRows(sampleTable, value as unknown as TableBlock, bytes)
          expect(rows.length).toBeLessThanOrEqual(JSON.stringify(value).length + 64)
        })
        expect(end).toEqual(allowedEnds)
        expect(endOf(() => blocksOf([value as unknown as TableBlock], bytes))).toEqual(allowedEnds)
      }),
      { numRuns: 3000 },
    )
  })

  test('frames come back as they were', () => {
    fc.assert(
      fc.property(fc.jsonValue(), fc.array(fc.uint8Array({ maxLength: 40 }), { maxLength: 6 }), (message, sections) => {
        const decoded = decodeFrame(encodeFrame({ message, sections }))
        expect(decoded.message).toEqual(JSON.parse(JSON.stringify(message)))
        expect(decoded.sections).toEqual(sections)
      }),
    )
  })
})
