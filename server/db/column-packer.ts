import type { ColumnPacking } from '../../protocol/rows/block.ts'
import { maxDistinct, minRowsForSection, type AddSection } from '../../protocol/rows/column-pack.ts'
import type { Json } from '../../protocol/rows/row.ts'
import type { ColumnDescriptor } from '../../protocol/rows/table.ts'
import { binaryDecoder } from './binary-values.ts'
import { createSink, type ColumnSink } from './column-sink.ts'

/** No value was seen yet. */
const none = -2
const tableSize = 1024

/**
 * One column of a block in the making. Most columns of a page hold one value, or few: a value that is the one of the
 * row before is only counted, others are looked up by their bytes in a dictionary of at most 256, and only when that is
 * full do values go into a section of their own.
 */
export class ColumnPacker {
  readonly #column: ColumnDescriptor
  /** Only while all values so far fit into the dictionary. */
  #entries: (Buffer | null)[] = []
  #codes: Uint8Array<ArrayBuffer> = new Uint8Array(0)
  /** By hash: code + 1, 0 where there is none. */
  #table: Uint16Array | undefined
  #sink: ColumnSink | undefined
  #rows = 0
  /** The value of the latest rows, and how many of them are not yet taken into account. */
  #value: Buffer = Buffer.allocUnsafeSlow(32)
  #length = none
  #repeats = 0

  /** `distinct`: the values are known to differ. */
  constructor(column: ColumnDescriptor, distinct: boolean) {
    this.#column = column
    if (distinct || column.type === 'vector') this.#sink = createSink(column)
  }

  /** The next row's value; `length` -1: null. */
  add(bytes: Buffer, at: number, length: number): void {
    if (this.#sink) return this.#write(this.#sink, bytes, at, length)
    if (length === this.#length && (length <= 0 || isSame(bytes, at, this.#value, length))) {
      this.#repeats++
      return
    }
    const sink = this.#flush()
    if (sink) return this.#write(sink, bytes, at, length)
    this.#keep(bytes, at, length)
    this.#repeats = 1
  }

  #write(sink: ColumnSink, bytes: Buffer, at: number, length: number): void {
    this.#rows++
    if (length < 0) sink.addNull()
    else sink.add(bytes, at, at + length)
  }

  #keep(bytes: Buffer, at: number, length: number): void {
    this.#length = length
    if (length > this.#value.length) this.#value = Buffer.allocUnsafeSlow(2 * length)
    const value = this.#value
    for (let index = 0; index < length; index++) value[index] = bytes[at + index] ?? 0
  }

  /** The packed column. To be called once. */
  end(add: AddSection): ColumnPacking {
    this.#flush()
    if (this.#sink) return this.#sink.pack(add)
    const entries = this.#entries
    if (entries.length <= 1) return { kind: 'const', value: this.#decode(entries[0] ?? null) }
    const isMany = this.#rows >= minRowsForSection
    if (isMany && entries.length * 2 <= this.#rows) {
      const values = entries.map((entry) => this.#decode(entry))
      return { kind: 'dict', values, section: add(this.#codes.slice(0, this.#rows)) }
    }
    if (isMany) return this.#toSink().pack(add)
    const values = entries.map((entry) => this.#decode(entry))
    return { kind: 'json', values: Array.from(this.#codes.subarray(0, this.#rows), (code) => values[code] ?? null) }
  }

  /** Takes the latest value into account. The sink, when values go there from now on. */
  #flush(): ColumnSink | undefined {
    const rows = this.#repeats
    if (rows === 0) return this.#sink
    this.#repeats = 0
    const code = this.#codeOf()
    if (code === undefined) {
      const sink = this.#toSink()
      for (let row = 0; row < rows; row++) this.#write(sink, this.#value, 0, this.#length)
      return sink
    }
    if (code > 0 || this.#codes.length > 0) {
      const end = this.#rows + rows
      // While all rows have the first value, the zeros that it stands for need not be written.
      if (end > this.#codes.length) this.#codes = grown(this.#codes, Math.max(1024, 2 * end))
      this.#codes.fill(code, this.#rows, end)
    }
    this.#rows += rows
    return undefined
  }

  /** The number of the latest value; undefined when there are too many. */
  #codeOf(): number | undefined {
    const table = (this.#table ??= new Uint16Array(tableSize))
    let slot = this.#length < 0 ? 0 : hash(this.#value, this.#length) & (tableSize - 1)
    for (;;) {
      const code = (table[slot] ?? 0) - 1
      if (code < 0) break
      if (this.#isLatest(this.#entries[code] ?? null)) return code
      slot = (slot + 1) & (tableSize - 1)
    }
    if (this.#entries.length === maxDistinct) return undefined
    const entry = this.#length < 0 ? null : Buffer.from(this.#value.subarray(0, this.#length))
    const code = this.#entries.push(entry) - 1
    table[slot] = code + 1
    return code
  }

  #isLatest(entry: Buffer | null): boolean {
    if (entry === null) return this.#length < 0
    return entry.length === this.#length && isSame(entry, 0, this.#value, entry.length)
  }

  /** Moves what was collected into a section. */
  #toSink(): ColumnSink {
    const sink = (this.#sink = createSink(this.#column))
    for (let row = 0; row < this.#rows; row++) {
      const entry = this.#entries[this.#codes[row] ?? 0] ?? null
      if (entry === null) sink.addNull()
      else sink.add(entry, 0, entry.length)
    }
    this.#entries = []
    this.#codes = new Uint8Array(0)
    this.#table = undefined
    return sink
  }

  #decode(entry: Buffer | null): Json {
    return entry === null ? null : (binaryDecoder(this.#column)(entry, 0, entry.length) as Json)
  }
}

function grown(codes: Uint8Array, length: number): Uint8Array<ArrayBuffer> {
  const larger = new Uint8Array(length)
  larger.set(codes)
  return larger
}

function isSame(bytes: Buffer, at: number, value: Buffer, length: number): boolean {
  // From the end: ids of one moment begin alike.
  for (let index = length - 1; index >= 0; index--) if (bytes[at + index] !== value[index]) return false
  return true
}

/** FNV-1a; of long values the beginning and the end. */
function hash(bytes: Buffer, length: number): number {
  let value = 0x811c9dc5 ^ length
  const head = Math.min(length, 24)
  for (let index = 0; index < head; index++) value = Math.imul(value ^ (bytes[index] ?? 0), 0x01000193)
  for (let index = Math.max(head, length - 24); index < length; index++)
    value = Math.imul(value ^ (bytes[index] ?? 0), 0x01000193)
  return value ^ (value >>> 15)
}
