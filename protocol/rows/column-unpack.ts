import type { ColumnPacking } from './block.ts'
import { badBlock } from './column-check.ts'
import { msToIso } from './iso-time.ts'
import { spread } from './presence.ts'
import type { Json, Value } from './row.ts'
import { unpackTexts } from './text-section.ts'
import { readUuid } from './uuid-bytes.ts'

/**
 * One value per row of a column that has passed `checkBlock`. Throws `TideError` `bad_frame` for texts that are no
 * UTF-8 and lists that are none.
 */
export function columnValues(
  column: ColumnPacking,
  sections: readonly Uint8Array[],
  count: number,
): readonly (Value | null)[] {
  switch (column.kind) {
    case 'const':
      return Array.from({ length: count }, () => column.value)
    case 'json':
      return column.values
    case 'list':
      return listOf(sectionOf(column.section, sections), count)
    case 'dict': {
      const { values } = column
      return Array.from(sectionOf(column.section, sections), (code) => values[code] ?? null)
    }
    default: {
      const values = presentValues(column, sections)
      return column.present === undefined ? values : spread(values, sectionOf(column.present, sections), count)
    }
  }
}

type Sectioned = Extract<ColumnPacking, { readonly kind: 'uuid' | 'number' | 'time' | 'text' | 'vector' }>

function presentValues(column: Sectioned, sections: readonly Uint8Array[]): readonly Value[] {
  const section = sectionOf(column.section, sections)
  switch (column.kind) {
    case 'uuid':
      return uuidsOf(section)
    case 'number':
      return Array.from(floats(section))
    case 'time':
      return timesOf(floats(section))
    case 'text':
      return textsOf(section, sectionOf(column.lengths, sections))
    case 'vector':
      return vectorsOf(section, column.dimension)
  }
}

function uuidsOf(section: Uint8Array): readonly string[] {
  const uuids: string[] = []
  for (let offset = 0; offset < section.byteLength; offset += 16) uuids.push(readUuid(section, offset))
  return uuids
}

/** Rows written together follow each other and share their times: the last text is kept. */
function timesOf(times: Float64Array): readonly string[] {
  let lastMs = 0
  let lastText = msToIso(0)
  const texts: string[] = []
  for (const ms of times) {
    if (ms !== lastMs) {
      lastMs = ms
      lastText = msToIso(ms)
    }
    texts.push(lastText)
  }
  return texts
}

function textsOf(bytes: Uint8Array, lengths: Uint8Array): readonly string[] {
  try {
    return unpackTexts(bytes, lengths)
  } catch {
    throw badBlock('', 'a text is not UTF-8')
  }
}

const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

function listOf(section: Uint8Array, count: number): readonly Json[] {
  const list = parse(section)
  if (!Array.isArray(list) || list.length !== count) throw badBlock('', `a list does not hold ${count} values`)
  return list as readonly Json[]
}

function parse(section: Uint8Array): unknown {
  try {
    return JSON.parse(decoder.decode(section))
  } catch {
    return undefined
  }
}

/** Each a copy: a view would keep the whole section alive, and be cloned with all of it when posted to a worker. */
function vectorsOf(section: Uint8Array, dimension: number): readonly Float32Array[] {
  const all = new Float32Array(copyOf(section))
  const vectors: Float32Array[] = []
  for (let start = 0; start < all.length; start += dimension) vectors.push(all.slice(start, start + dimension))
  return vectors
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
