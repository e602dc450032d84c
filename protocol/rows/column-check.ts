import type { ColumnBlock, TableBlock } from './block.ts'
import { countPresent, presenceBytes } from './presence.ts'
import { textsFault } from './text-section.ts'
import { TideError } from '../error.ts'

/** Greatest value of a JavaScript date, in milliseconds either side of 1970. */
const maxTime = 8.64e15

/**
 * Checks that a block from outside adds up: every column has a known packing, its sections exist and hold just what
 * `count` rows need. Throws `TideError` `bad_frame`.
 */
export function checkBlock(block: TableBlock, sections: readonly Uint8Array[]): void {
  if (!isRecord(block)) throw badBlock('', 'it is not an object')
  const { table, count, columns } = block
  if (typeof table !== 'string') throw badBlock('', 'its table has no name')
  if (!Number.isSafeInteger(count) || count < 0) throw badBlock(table, `its count is ${JSON.stringify(count)}`)
  if (!Array.isArray(columns)) throw badBlock(table, 'it has no columns')
  let sized = count <= 1
  for (const column of columns as readonly ColumnBlock[]) {
    if (!isRecord(column) || typeof column.name !== 'string') throw badBlock(table, 'a column has no name')
    const wrong = columnFault(column, count, sections)
    if (wrong !== undefined) throw badBlock(table, `column "${column.name}" ${wrong}`)
    // Neither one value nor one bit per row bounds the count by what has come.
    if (column.kind !== 'const' && !('present' in column)) sized = true
  }
  if (!sized) throw badBlock(table, `it says ${count} rows and none of its columns holds as many values`)
}

/** What is wrong with a column of `count` rows, if anything. */
function columnFault(column: ColumnBlock, count: number, sections: readonly Uint8Array[]): string | undefined {
  switch (column.kind) {
    case 'const':
      return column.value === undefined ? 'has no value' : undefined
    case 'json':
      return Array.isArray(column.values) && column.values.length === count
        ? undefined
        : `does not hold ${count} values`
    case 'list': {
      const section = sections[column.section]
      // The shortest list has one byte for each value and one before each. What it holds is seen when it is read.
      return section && section.byteLength > 2 * count ? undefined : `does not hold ${count} values`
    }
    case 'dict': {
      const distinct = Array.isArray(column.values) ? column.values.length : 0
      const codes = sections[column.section]
      if (codes?.byteLength !== count) return `does not hold ${count} codes`
      return codes.some((code) => code >= distinct) ? `has a code beyond its ${distinct} values` : undefined
    }
    case 'vector': {
      const { dimension } = column
      if (!Number.isSafeInteger(dimension) || dimension < 1) return `has ${JSON.stringify(dimension)} dimensions`
      return sectionFault(column, 4 * dimension, count, sections)
    }
    case 'uuid':
      return sectionFault(column, 16, count, sections)
    case 'number':
      return sectionFault(column, 8, count, sections)
    case 'time':
      return sectionFault(column, 8, count, sections) ?? timeFault(sections[column.section])
    case 'text': {
      const present = presentOf(column, count, sections)
      const bytes = sections[column.section]
      const lengths = sections[column.lengths]
      if (typeof present === 'string') return present
      return bytes && lengths ? textsFault(lengths, bytes.byteLength, present) : 'refers to no section'
    }
    default:
      return `has the unknown packing ${JSON.stringify((column as { kind?: unknown }).kind)}`
  }
}

interface Sectioned {
  readonly section: number
  readonly present?: number
}

function sectionFault(
  column: Sectioned,
  bytesEach: number,
  count: number,
  sections: readonly Uint8Array[],
): string | undefined {
  const present = presentOf(column, count, sections)
  if (typeof present === 'string') return present
  const section = sections[column.section]
  if (section?.byteLength === bytesEach * present) return undefined
  return section ? `has ${section.byteLength} bytes and needs ${bytesEach * present}` : 'refers to no section'
}

/** How many rows have a value; as text, what is wrong. */
function presentOf(column: Sectioned, count: number, sections: readonly Uint8Array[]): number | string {
  if (column.present === undefined) return count
  const bits = sections[column.present]
  return bits?.byteLength === presenceBytes(count)
    ? countPresent(bits, count)
    : `does not say which of ${count} are null`
}

function timeFault(section: Uint8Array | undefined): string | undefined {
  if (!section) return undefined
  const view = new DataView(section.buffer, section.byteOffset, section.byteLength)
  for (let offset = 0; offset < section.byteLength; offset += 8)
    if (!(Math.abs(view.getFloat64(offset, true)) <= maxTime)) return 'holds a time beyond all dates'
  return undefined
}

function isRecord(value: unknown): boolean {
  return typeof value === 'object' && value !== null
}

/** The error for a block that does not add up. */
export function badBlock(table: string, what: string): TideError {
  return new TideError(
    'bad_frame',
    `A block${table === '' ? '' : ` of table ${JSON.stringify(table)}`} could not be read: ${what}.`,
  )
}
