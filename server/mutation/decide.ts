/**
 * What a mutation does to a row: the pure heart of the room. It has no database, no clock and no principal. It refuses
 * what nobody may do to the table (`refuseOp`); whether this principal may is for `authorise.ts` to say, and
 * `mutations.ts` carries it out. The simulation and the property tests call this very function.
 *
 *     table policy + column classes      row now      mutation {set, base, inc}
 *                └──────────────── decide ────────────────┘
 *          insert · update · noop · conflict (with what can be applied all the same) · rejected
 */
import type { Row, Value } from '../../protocol/rows/row.ts'
import type { TableDescriptor } from '../../protocol/rows/table.ts'
import { unreachable } from '../../lib/invariant.ts'
import { refuseOp } from './authorise.ts'
import { checkSent, checkValue, type Sent } from './check-values.ts'
import { decidePatch } from './decide-patch.ts'
import {
  differs,
  fixedColumn,
  isDeleted,
  notFound,
  rejected,
  rowDeleted,
  type DecideInput,
  type Decision,
} from './decision.ts'
import { refuse, show } from './refusal.ts'

/** Decides one mutation. Throws nothing: whatever is wrong with it is a `rejected`. */
export function decide(input: DecideInput): Decision {
  const { table, row, mutation } = input
  const closed = refuseOp(table, mutation.op)
  if (closed) return rejected(closed)
  const sent = checkSent(table, mutation)
  if (sent.kind === 'refused') return rejected(sent.refusal)
  switch (mutation.op) {
    case 'insert':
      return row ? decideRepeatedInsert(table, row, sent) : decideInsert(table, sent)
    case 'patch':
      return row ? decidePatch(input, row, sent) : rejected(notFound(input))
    case 'increment':
      return row ? decideIncrement(input, row) : rejected(notFound(input))
    case 'delete':
      return decideDelete(input, sent)
    case 'restore':
      return decideRestore(input)
    case 'resolve':
      return rejected(
        refuse('invalid_value', `Only a row of sync_conflicts can be resolved, not one of ${table.name}.`),
      )
    default:
      return unreachable(mutation.op)
  }
}

function decideInsert(table: TableDescriptor, sent: Sent): Decision {
  for (const [property, column] of Object.entries(table.columns)) {
    if (column.optional || column.class === 'server' || property in sent.set) continue
    return rejected(refuse('invalid_value', `${table.name}.${property} must have a value, and the insert has none.`))
  }
  return { kind: 'insert', values: sent.set, ignored: sent.ignored }
}

/**
 * An insert of an id that exists: the same row made twice. For deterministic ids that is expected (two devices add the
 * same tag), so the rest of the row is last-wins and a deleted one comes back.
 */
function decideRepeatedInsert(table: TableDescriptor, row: Row, sent: Sent): Decision {
  const deleted = isDeleted(row)
  const differing = Object.entries(sent.set).filter(([property, value]) => differs(table, property, value, row))
  if (table.naturalKey === undefined) {
    if (deleted) return rejected(rowDeleted(table, row))
    if (differing.length === 0) return { kind: 'noop', ignored: sent.ignored }
    const columns = differing.map(([property]) => property).join(', ')
    return rejected(
      refuse('unique_violated', `${table.name} has a row ${show(row['id'])} already, with other values in ${columns}.`),
    )
  }
  const fixed = differing.find(([property]) => table.columns[property]?.class === 'fixed')
  if (fixed) return rejected(fixedColumn(table, fixed[0], fixed[1]))
  const set: Record<string, Value> = Object.fromEntries(differing)
  if (deleted) set['deletedAt'] = null
  if (Object.keys(set).length === 0) return { kind: 'noop', ignored: sent.ignored }
  return { kind: 'update', set, inc: {}, merged: true, ignored: sent.ignored }
}

function decideIncrement({ table, mutation }: DecideInput, row: Row): Decision {
  if (isDeleted(row)) return rejected(rowDeleted(table, row))
  const inc = Object.entries(mutation.inc ?? {}).filter(([, amount]) => amount !== 0)
  for (const [property, amount] of inc) {
    const column = Object.hasOwn(table.columns, property) ? table.columns[property] : undefined
    if (column?.class !== 'counter') {
      return rejected(
        refuse(
          'unknown_column',
          `${table.name}.${property} is not a counter, so it cannot be incremented by ${amount}.`,
        ),
      )
    }
    const whole = column.type === 'integer' || column.type === 'bigint'
    if (!Number.isFinite(amount) || (whole && !Number.isSafeInteger(amount))) {
      return rejected(refuse('invalid_value', `${table.name}.${property} cannot be incremented by ${amount}.`))
    }
    const sum = checkValue(table, column, Number(row[property] ?? 0) + amount)
    if (sum.kind === 'refused') return rejected(sum.refusal)
  }
  if (inc.length === 0) return { kind: 'noop', ignored: [] }
  return { kind: 'update', set: {}, inc: Object.fromEntries(inc), merged: false, ignored: [] }
}

/**
 * A delete may carry in `base` the row as the device saw it, its own pending edits included. What differs from that
 * was changed by somebody else, and under policy `merge` the row then stays.
 */
function decideDelete({ table, row, now }: DecideInput, sent: Sent): Decision {
  if (!('deletedAt' in table.columns)) return rejected(refuse('forbidden', `Rows of ${table.name} cannot be deleted.`))
  if (!row || isDeleted(row)) return { kind: 'noop', ignored: sent.ignored }
  const changed =
    table.policy === 'merge'
      ? Object.entries(sent.base).filter(([property, base]) => countsAsChange(table, property, base, row))
      : []
  if (changed.length > 0) {
    const fields = changed.map(
      ([property, base]) => [property, { base, mine: null, theirs: row[property] ?? null }] as const,
    )
    return {
      kind: 'conflict',
      conflict: 'update_delete',
      apply: {},
      fields: Object.fromEntries(fields),
      ignored: sent.ignored,
    }
  }
  return {
    kind: 'update',
    set: { deletedAt: new Date(now).toISOString() },
    inc: {},
    merged: false,
    ignored: sent.ignored,
  }
}

function countsAsChange(table: TableDescriptor, property: string, base: Value, row: Row): boolean {
  const column = table.columns[property]
  if (!column || column.class === 'server' || column.class === 'silent' || column.class === 'counter') return false
  return differs(table, property, base, row)
}

function decideRestore(input: DecideInput): Decision {
  const { table, row } = input
  if (!('deletedAt' in table.columns))
    return rejected(refuse('forbidden', `Rows of ${table.name} cannot be deleted or restored.`))
  if (!row) return rejected(notFound(input))
  if (!isDeleted(row)) return { kind: 'noop', ignored: [] }
  return { kind: 'update', set: { deletedAt: null }, inc: {}, merged: false, ignored: [] }
}
