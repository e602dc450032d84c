import fc from 'fast-check'
import { checkFilter } from '../../protocol/rows/filter-check.ts'
import { operatorsOf, type OperatorName } from '../../protocol/rows/filter-operand.ts'
import { filterLimits, type Filter, type OrderBy } from '../../protocol/rows/filter.ts'
import { compareOf } from '../../protocol/rows/compare.ts'
import type { ColumnDescriptor } from '../../protocol/rows/table.ts'
import { sampleTable, sampleText, valueOf } from './sample-table.ts'

const pattern = fc
  .array(
    fc.oneof(
      fc.constantFrom('%', '_', '\\%', '\\_', '\\\\', '\\a', '\\A'),
      sampleText.filter((text) => !text.includes('\\')),
    ),
    { maxLength: 4 },
  )
  .map((parts) => parts.join(''))

function operandOf(column: ColumnDescriptor, operator: OperatorName): fc.Arbitrary<unknown> {
  switch (operator) {
    case 'isNull':
      return fc.boolean()
    case 'like':
    case 'ilike':
      return pattern
    case 'in':
    case 'notIn':
      return fc.array(valueOf(column), { maxLength: 4 })
    case 'contains':
      return column.type === 'jsonb' ? containedJson : sampleText
    default:
      return column.type === 'numeric' ? fc.oneof(valueOf(column), numbers) : valueOf(column)
  }
}

const numbers = fc.constantFrom<unknown>(
  0,
  0.1,
  1e21,
  -7,
  1,
  5e-7,
  '0.1',
  '1e2',
  '-0',
  '123456789012345678901234.5000005',
)

/** Also nested values that Postgres' own containment would find inside larger ones. */
const containedJson = fc.oneof(
  fc.dictionary(fc.constantFrom('a', 'b'), fc.constantFrom<unknown>(1, 'x', null, [1], [], { c: 1 }, {}), {
    maxKeys: 2,
  }),
  fc.array(fc.constantFrom<unknown>(1, 'x', null, true), { maxLength: 2 }),
)

const condition: fc.Arbitrary<Filter> = fc
  .constantFrom(...Object.entries(sampleTable.columns))
  .chain(([property, column]) => {
    const one = fc
      .constantFrom(...operatorsOf(column.type))
      .chain((operator) => operandOf(column, operator).map((operand): [string, unknown] => [operator, operand]))
    const operators = fc.array(one, { minLength: 1, maxLength: 2 }).map((entries) => Object.fromEntries(entries))
    const bare = operatorsOf(column.type).includes('eq') ? fc.option(valueOf(column)) : fc.constant(null)
    return fc
      .oneof({ weight: 4, arbitrary: operators }, { weight: 1, arbitrary: bare })
      .map((part) => ({ [property]: part }) as Filter)
  })

const nested = fc.letrec<{ filter: Filter }>((tie) => ({
  filter: fc.oneof(
    { maxDepth: 3, depthIdentifier: 'filter' },
    condition,
    fc.record({ and: fc.array(tie('filter'), { maxLength: 3 }) }),
    fc.record({ or: fc.array(tie('filter'), { maxLength: 3 }) }),
    fc.record({ not: tie('filter') }),
    fc.tuple(condition, condition).map(([a, b]) => ({ ...a, ...b })),
  ),
})).filter

/** Filters of the sample table that are within the limits. */
export const sampleFilter = nested.filter(
  (filter) => JSON.stringify(filter).length < filterLimits.nodes * 40 && isAllowed(filter),
)

function isAllowed(filter: Filter): boolean {
  try {
    checkFilter(sampleTable, filter)
    return true
  } catch {
    return false
  }
}

const orderable = Object.entries(sampleTable.columns)
  .filter(([, column]) => compareOf(column.type))
  .map(([property]) => property)

export const sampleOrder: fc.Arbitrary<OrderBy[]> = fc.array(
  fc.dictionary(fc.constantFrom(...orderable), fc.constantFrom('asc', 'desc'), { maxKeys: 2 }),
  { maxLength: 2 },
)
