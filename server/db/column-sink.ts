import type { ColumnPacking } from '../../protocol/rows/block.ts'
import type { AddSection } from '../../protocol/rows/column-pack.ts'
import { presenceBytes } from '../../protocol/rows/presence.ts'
import type { ColumnDescriptor } from '../../protocol/rows/table.ts'
import { Lengths } from '../../protocol/rows/text-section.ts'
import { invariant } from '../../lib/invariant.ts'
import { binaryDecoder, isNumber, jsonOffset, numberDecoder, readMs, vectorOffset } from './binary-values.ts'
import { SectionWriter } from './section-writer.ts'

/** Takes the values of one column, row by row, straight into a section. */
export interface ColumnSink {
  add(bytes: Buffer, start: number, end: number): void
  addNull(): void
  pack(add: AddSection): ColumnPacking
}

const [open, close, comma] = [0x5b, 0x5d, 0x2c]
const jsonNull = Buffer.from('null')

export function createSink(column: ColumnDescriptor): ColumnSink {
  if (isNumber(column)) return new FixedSink('number', numberDecoder(column))
  switch (column.type) {
    case 'uuid':
      return new UuidSink()
    case 'timestamptz':
      return new FixedSink('time', readMs)
    case 'vector':
      return new VectorSink(column)
    case 'jsonb':
    case 'text[]':
      return new ListSink(jsonOffset(column))
    case 'boolean':
    case 'bytea':
      return new DecodedSink(column)
    default:
      return new TextSink()
  }
}

/** Counts rows and remembers which are null. */
class Nulls {
  #rows = 0
  readonly #nulls: number[] = []

  present(): void {
    this.#rows++
  }

  absent(): void {
    this.#nulls.push(this.#rows++)
  }

  pack(add: AddSection): { readonly present?: number } {
    if (this.#nulls.length === 0) return {}
    const bits = new Uint8Array(presenceBytes(this.#rows)).fill(0xff)
    for (const row of this.#nulls) bits[row >> 3] = (bits[row >> 3] ?? 0) & ~(1 << (row & 7))
    return { present: add(bits) }
  }
}

class UuidSink implements ColumnSink {
  readonly #bytes = new SectionWriter()
  readonly #nulls = new Nulls()

  add(bytes: Buffer, start: number, end: number): void {
    this.#nulls.present()
    this.#bytes.append(bytes, start, end)
  }

  addNull(): void {
    this.#nulls.absent()
  }

  pack(add: AddSection): ColumnPacking {
    return { kind: 'uuid', section: add(this.#bytes.take()), ...this.#nulls.pack(add) }
  }
}

/** Numbers and times, as float64. */
class FixedSink implements ColumnSink {
  readonly #kind: 'number' | 'time'
  readonly #decode: (bytes: Buffer, start: number, end: number) => number
  readonly #bytes = new SectionWriter()
  readonly #nulls = new Nulls()

  constructor(kind: 'number' | 'time', decode: (bytes: Buffer, start: number, end: number) => number) {
    this.#kind = kind
    this.#decode = decode
  }

  add(bytes: Buffer, start: number, end: number): void {
    this.#nulls.present()
    this.#bytes.float64(this.#decode(bytes, start, end))
  }

  addNull(): void {
    this.#nulls.absent()
  }

  pack(add: AddSection): ColumnPacking {
    return { kind: this.#kind, section: add(this.#bytes.take()), ...this.#nulls.pack(add) }
  }
}

class TextSink implements ColumnSink {
  readonly #bytes = new SectionWriter()
  readonly #lengths = new Lengths(1024)
  readonly #nulls = new Nulls()

  add(bytes: Buffer, start: number, end: number): void {
    this.#nulls.present()
    this.#bytes.append(bytes, start, end)
    this.#lengths.add(end - start)
  }

  addNull(): void {
    this.#nulls.absent()
  }

  pack(add: AddSection): ColumnPacking {
    const section = add(this.#bytes.take())
    return { kind: 'text', section, lengths: add(this.#lengths.toBytes()), ...this.#nulls.pack(add) }
  }
}

/** JSON stays the text that Postgres wrote. */
class ListSink implements ColumnSink {
  readonly #skip: number
  readonly #bytes = new SectionWriter()

  constructor(skip: number) {
    this.#skip = skip
  }

  add(bytes: Buffer, start: number, end: number): void {
    this.#bytes.byte(this.#bytes.length === 0 ? open : comma)
    this.#bytes.append(bytes, start + this.#skip, end)
  }

  addNull(): void {
    this.#bytes.byte(this.#bytes.length === 0 ? open : comma)
    this.#bytes.append(jsonNull, 0, jsonNull.length)
  }

  pack(add: AddSection): ColumnPacking {
    if (this.#bytes.length === 0) this.#bytes.byte(open)
    this.#bytes.byte(close)
    return { kind: 'list', section: add(this.#bytes.take()) }
  }
}

/** Types that are rarely met in numbers, by way of their canonical values. */
class DecodedSink implements ColumnSink {
  readonly #decode: ReturnType<typeof binaryDecoder>
  readonly #list = new ListSink(0)

  constructor(column: ColumnDescriptor) {
    this.#decode = binaryDecoder(column)
  }

  add(bytes: Buffer, start: number, end: number): void {
    const json = Buffer.from(JSON.stringify(this.#decode(bytes, start, end)))
    this.#list.add(json, 0, json.length)
  }

  addNull(): void {
    this.#list.addNull()
  }

  pack(add: AddSection): ColumnPacking {
    return this.#list.pack(add)
  }
}

class VectorSink implements ColumnSink {
  readonly #column: ColumnDescriptor
  readonly #bytes = new SectionWriter()
  readonly #nulls = new Nulls()
  #dimension: number

  constructor(column: ColumnDescriptor) {
    this.#column = column
    this.#dimension = column.dimension ?? 0
  }

  add(bytes: Buffer, start: number, end: number): void {
    const dimension = (end - start - vectorOffset) / 4
    if (this.#dimension === 0) this.#dimension = dimension
    invariant(
      dimension === this.#dimension,
      `a vector of ${this.#column.name} has ${this.#dimension} dimensions, this one ${dimension}`,
    )
    this.#nulls.present()
    this.#bytes.append(bytes, start + vectorOffset, end)
  }

  addNull(): void {
    this.#nulls.absent()
  }

  pack(add: AddSection): ColumnPacking {
    const section = add(this.#bytes.take().swap32())
    return { kind: 'vector', section, dimension: this.#dimension || 1, ...this.#nulls.pack(add) }
  }
}
