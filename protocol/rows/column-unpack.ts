import type { ColumnBlock, TableBlock } from './block.ts'
import type { Value } from './row.ts'
import { msToIso } from './iso-time.ts'
import { readUuid } from './uuid-bytes.ts'
import { TideError } from '../error.ts'

/** Greatest value of a JavaScript date, in milliseconds either side of 1970. */
const maxTime = 8.64e15

/**
 * Checks that a block from outside adds up: every column has a known packing, its section exists and holds just what
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
    if (column.kind !== 'const') sized = true
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
    case 'dict': {
      const distinct = Array.isArray(column.values) ? column.values.length : 0
      const codes = sections[column.section]
      if (codes?.byteLength !== count) return `does not hold ${count} codes`
      return codes.some((code) => code >= distinct) ? `has a code beyond its ${distinct} values` : undefined
    }
    case 'uuid':
      return sectionFault(sections[column.section], 16 * count)
    case 'number':
      return sectionFault(sections[column.section], 8 * count)
    case 'time': {
      const section = sections[column.section]
      return sectionFault(section, 8 * count) ?? (section && timeFault(section))
    }
    case 'vector': {
      const { dimension, nulls } = column
      if (!Number.isSafeInteger(dimension) || dimension < 1) return `has ${JSON.stringify(dimension)} dimensions`
      if (!Array.isArray(nulls) || nulls.length > count) return 'has no list of nulls'
      if (!nulls.every((row, index) => Number.isSafeInteger(row) && row > (nulls[index - 1] ?? -1) && row < count))
        return 'has nulls out of order'
      return sectionFault(sections[column.section], 4 * dimension * (count - nulls.length))
    }
    default:
      return `has the unknown packing ${JSON.stringify((column as { kind?: unknown }).kind)}`
  }
}

function sectionFault(section: Uint8Array | undefined, length: number): string | undefined {
  if (section?.byteLength === length) return undefined
  return section ? `has ${section.byteLength} bytes and needs ${length}` : 'refers to no section'
}

function timeFault(section: Uint8Array): string | undefined {
  return floats(section).every((ms) => Math.abs(ms) <= maxTime) ? undefined : 'holds a time beyond all dates'
}

/** Gives the value of a row. Rows are asked for in ascending order, each once. The column has passed `checkBlock`. */
export function columnReader(column: ColumnBlock, sections: readonly Uint8Array[]): (row: number) => Value {
  switch (column.kind) {
    case 'const': {
      const { value } = column
      return () => value
    }
    case 'json': {
      const { values } = column
      return (row) => values[row] ?? null
    }
    case 'dict': {
      const { values } = column
      const codes = sectionOf(column.section, sections)
      return (row) => values[codes[row] ?? 0] ?? null
    }
    case 'uuid': {
      const bytes = sectionOf(column.section, sections)
      return (row) => readUuid(bytes, 16 * row)
    }
    case 'number': {
      const numbers = floats(sectionOf(column.section, sections))
      return (row) => numbers[row] ?? null
    }
    case 'time':
      return timeReader(floats(sectionOf(column.section, sections)))
    case 'vector':
      return vectorReader(sectionOf(column.section, sections), column.dimension, column.nulls)
  }
}

/** Rows written together follow each other and share their times: the last text is kept. */
function timeReader(times: Float64Array): (row: number) => string {
  let lastMs = 0
  let lastText = msToIso(0)
  return (row) => {
    const ms = times[row] ?? 0
    if (ms !== lastMs) {
      lastMs = ms
      lastText = msToIso(ms)
    }
    return lastText
  }
}

function vectorReader(
  section: Uint8Array,
  dimension: number,
  nulls: readonly number[],
): (row: number) => Float32Array | null {
  const all = new Float32Array(copyOf(section))
  let passed = 0
  return (row) => {
    if (nulls[passed] === row) {
      passed++
      return null
    }
    const start = dimension * (row - passed)
    // A copy each: a view would keep the whole section alive, and be cloned with all of it when posted to a worker.
    return all.slice(start, start + dimension)
  }
}

function sectionOf(index: number, sections: readonly Uint8Array[]): Uint8Array {
  const section = sections[index]
  if (!section) throw badBlock('', `section ${index} is missing`)
  return section
}

function floats(section: Uint8Array): Float64Array {
  return new Float64Array(copyOf(section))
}

/** The bytes in a buffer of their own: sections lie in their frame at any offset, typed arrays want theirs aligned. */
function copyOf(section: Uint8Array): ArrayBuffer {
  return new Uint8Array(section).buffer
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
