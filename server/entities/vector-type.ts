import { Type } from '@mikro-orm/core'
import { toSql } from 'pgvector'
import type { EntityProperty } from '@mikro-orm/core'

/** A pgvector column as a `Float32Array`. */
export class VectorType extends Type<Float32Array | null, string | null> {
  override convertToDatabaseValue(value: Float32Array | null): string | null {
    return value === null ? null : toSql(Array.from(value))
  }

  override convertToJSValue(value: string | Float32Array | null): Float32Array | null {
    if (value === null || value instanceof Float32Array) return value
    return Float32Array.from(value.slice(1, -1).split(','), Number)
  }

  override getColumnType(prop: EntityProperty): string {
    return `vector(${prop.length})`
  }

  override compareAsType(): string {
    return 'string'
  }
}
