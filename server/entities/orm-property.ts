import type { EntitySchema } from '@mikro-orm/core'
import type { ColumnSpec } from './column.ts'
import { ormType, sqlType } from './column.ts'

/** camelCase property to snake_case column: `currentTaskId` → `current_task_id`. */
export function toColumnName(property: string): string {
  return property.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`)
}

/** The options of a MikroORM property that say what the column says. Foreign keys are mapped to their plain ids. */
export function toOrmProperty(
  property: string,
  spec: ColumnSpec,
  entityOf: (table: string) => EntitySchema,
): Record<string, unknown> {
  const fieldName = toColumnName(property)
  const common = {
    fieldName,
    nullable: spec.nullable,
    ...(spec.primary ? { primary: true } : {}),
    ...(spec.hidden ? { hidden: true, lazy: true } : {}),
    ...defaultOption(spec),
    ...(spec.generated === undefined ? {} : { generated: `(${spec.generated}) stored` }),
  }
  const { references } = spec
  if (references) {
    return {
      ...common,
      kind: 'm:1',
      entity: () => entityOf(references.table),
      mapToPk: true,
      joinColumn: fieldName,
      deleteRule: references.onDelete,
      updateRule: 'no action',
    }
  }
  if (spec.values) return { ...common, enum: true, items: [...spec.values], type: 'string', columnType: 'text' }
  return {
    ...common,
    type: ormType(spec),
    columnType: sqlType(spec),
    ...(spec.dimension === undefined ? {} : { length: spec.dimension }),
    ...(spec.type === 'timestamptz' ? { length: 3 } : {}),
    ...(spec.precision === undefined ? {} : { precision: spec.precision, scale: spec.scale }),
  }
}

function defaultOption(spec: ColumnSpec): Record<string, unknown> {
  if (spec.defaultSql !== undefined) return { defaultRaw: spec.defaultSql }
  const value = spec.default
  if (value === undefined) return {}
  if (typeof value !== 'object') return { default: value }
  return { defaultRaw: spec.type === 'jsonb' ? `'${JSON.stringify(value)}'` : `'{}'` }
}
