import type { Row, Value } from '../../protocol/rows/row.ts'
import type { ColumnDescriptor, TableDescriptor } from '../../protocol/rows/table.ts'
import { valuesEqual } from '../../protocol/rows/value.ts'
import { checkValue, type Sent } from './check-values.ts'
import { columnRule, type ColumnRule } from './column-rule.ts'
import {
  differs,
  fixedColumn,
  isDeleted,
  rejected,
  type ConflictKind,
  type DecideInput,
  type Decision,
  type Disagreement,
} from './decision.ts'
import { mergeColumn } from './merge-column.ts'
import { refuse, show, type Refusal } from './refusal.ts'
import { mayMove } from './transition.ts'

/** What becomes of one column of a patch. A conflict may still have a value to write: the keys that do not overlap. */
type ColumnDecision =
  | { readonly kind: 'same'; readonly merged: boolean }
  | { readonly kind: 'write'; readonly value: Value; readonly merged: boolean }
  | { readonly kind: 'conflict'; readonly conflict: ConflictKind; readonly sides: Disagreement; readonly value: Value }
  | { readonly kind: 'rejected'; readonly error: Refusal }

/** Decides a patch column by column; what does not overlap is applied even when the rest is in conflict. */
export function decidePatch(input: DecideInput, row: Row, sent: Sent): Decision {
  const { table } = input
  if (isDeleted(row)) return patchOfDeleted(table, row, sent)
  const set: Record<string, Value> = {}
  const fields: Record<string, Disagreement> = {}
  const texts: Record<string, Disagreement> = {}
  const kinds = new Set<ConflictKind>()
  let merged = false
  for (const [property, mine] of Object.entries(sent.set)) {
    const column = table.columns[property]
    if (!column) continue
    const theirs = row[property] ?? null
    const rule = ruleOf(input, row, column)
    const result = decideColumn(table, property, column, { rule, sent, mine, theirs })
    if (result.kind === 'rejected') return rejected(result.error)
    if (result.kind === 'conflict') {
      kinds.add(result.conflict)
      fields[property] = result.sides
    } else {
      merged ||= result.merged
    }
    if (result.kind === 'write' && result.merged && rule === 'text')
      texts[property] = { base: sent.base[property] ?? null, mine, theirs }
    if (result.kind !== 'same' && !valuesEqual(column, result.value, theirs)) set[property] = result.value
  }
  const { ignored } = sent
  const ofTexts = Object.keys(texts).length > 0 ? { texts } : {}
  const [kind, ...others] = kinds
  if (kind)
    return { kind: 'conflict', conflict: others.length === 0 ? kind : 'field', apply: set, fields, ...ofTexts, ignored }
  if (Object.keys(set).length === 0) return { kind: 'noop', ignored }
  return { kind: 'update', set, inc: {}, merged, ...ofTexts, ignored }
}

/** A message that its own device is still writing may change as a whole, but for what it refers to. */
function ruleOf({ table, ownRow }: DecideInput, row: Row, column: ColumnDescriptor): ColumnRule {
  const isOpen =
    table.policy === 'append' && ownRow === true && ['pending', 'streaming'].includes(String(row['status']))
  return isOpen && column.class !== 'server' && column.references === undefined ? 'last' : columnRule(table, column)
}

interface ColumnSides {
  readonly rule: ColumnRule
  readonly sent: Sent
  readonly mine: Value
  readonly theirs: Value
}

function decideColumn(
  table: TableDescriptor,
  property: string,
  column: ColumnDescriptor,
  { rule, sent, mine, theirs }: ColumnSides,
): ColumnDecision {
  const name = `${table.name}.${property}`
  if (rule === 'counter') {
    return refusedColumn(`${name} is a counter: it cannot be set to ${show(mine)}.`, 'Send an increment.')
  }
  if (rule === 'fixed') {
    if (valuesEqual(column, mine, theirs)) return { kind: 'same', merged: false }
    return { kind: 'rejected', error: fixedColumn(table, property, mine) }
  }
  if (rule !== 'last' && !(property in sent.base)) {
    return refusedColumn(`The patch of ${name} has no base.`, 'Send the value the device saw before its change.')
  }
  const base = rule === 'last' ? theirs : baseOf(column, sent.base[property] ?? null, theirs)
  const result = mergeColumn(column, rule === 'text', base, mine, theirs)
  if (result.kind === 'same') return { kind: 'same', merged: rule !== 'last' && !valuesEqual(column, base, theirs) }
  const isStatus = property === 'status' && table.transitions !== undefined
  const conflict = isStatus ? 'transition' : rule === 'text' ? 'text' : 'field'
  const sides = { base, mine, theirs }
  if (result.kind === 'conflict') return { kind: 'conflict', conflict, sides, value: result.value }
  const isIllegal = isStatus && !mayMove(table, String(theirs), String(result.value))
  const isUnfit = result.merged && checkValue(table, column, result.value).kind === 'refused'
  return isIllegal || isUnfit ? { kind: 'conflict', conflict, sides, value: theirs } : result
}

function refusedColumn(message: string, remedy: string): ColumnDecision {
  return { kind: 'rejected', error: refuse('invalid_value', message, remedy) }
}

/**
 * A device does not know what the server fills in at an insert: no base where there must be a value means "what you
 * chose".
 */
function baseOf(column: ColumnDescriptor, base: Value, theirs: Value): Value {
  return base === null && !column.nullable ? theirs : base
}

/** The row stays deleted, and what was written to it is kept in a conflict. */
function patchOfDeleted(table: TableDescriptor, row: Row, sent: Sent): Decision {
  const differing = Object.entries(sent.set).filter(([property, value]) => differs(table, property, value, row))
  if (differing.length === 0) return { kind: 'noop', ignored: sent.ignored }
  const fixed = differing.find(([property]) => {
    const column = table.columns[property]
    return column !== undefined && ['fixed', 'counter'].includes(columnRule(table, column))
  })
  if (fixed) return rejected(fixedColumn(table, fixed[0], fixed[1]))
  const fields = differing.map(([property, mine]) => {
    const theirs = row[property] ?? null
    return [property, { base: sent.base[property] ?? theirs, mine, theirs }] as const
  })
  return {
    kind: 'conflict',
    conflict: 'delete_update',
    apply: {},
    fields: Object.fromEntries(fields),
    ignored: sent.ignored,
  }
}
