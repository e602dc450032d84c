import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { decide } from '../../server/mutation/decide.ts'
import type { Json, Patch, Row } from '../../protocol/rows/row.ts'
import { documents } from './documents.ts'

const id = '01a2010e-0c45-77c9-82b7-38d9bd3b37cc'
const table = { ...documents, transitions: {} }
const runs = { numRuns: Number(process.env['FUZZ_RUNS'] ?? 500) }

/** Few values, so that they often meet. */
const scalar = fc.constantFrom('a', 'b', 'c')
const elements = fc.uniqueArray(fc.constantFrom('a', 'b', 'c', 'd'))
const object = fc.dictionary(fc.constantFrom('x', 'y', 'z'), fc.constantFrom(1, 2, 3), { noNullPrototype: true })
const state = fc.record({
  title: scalar,
  note: fc.option(scalar),
  rank: fc.constantFrom(1, 2, 3),
  tags: elements,
  meta: object,
  place: scalar,
})
type State = { readonly [column: string]: Json }

function patch(row: State, set: Patch, base: State) {
  const full: Row = { id, version: 1, deletedAt: null, ...row }
  return decide({
    table,
    row: full,
    mutation: { op: 'patch', rowId: id, set: set as Record<string, Json>, base },
    now: 0,
  })
}

/** The row after the decision. */
function after(row: State, decision: ReturnType<typeof decide>): Row {
  if (decision.kind === 'update') return { ...row, ...decision.set }
  return decision.kind === 'conflict' ? { ...row, ...decision.apply } : row
}

const sameSet = (a: Json, b: Json): boolean =>
  JSON.stringify([...(a as string[])].sort()) === JSON.stringify([...(b as string[])].sort())
const sameJson = (a: Json | undefined, b: Json | undefined): boolean => JSON.stringify(a) === JSON.stringify(b)

const conflict = Symbol('conflict')

/** What must come of each column, spelled out; `conflict` where both sides wrote different things. */
function oracle(column: string, base: Json, mine: Json, theirs: Json): Json | typeof conflict {
  if (column === 'place') return mine
  if (column === 'tags') {
    const [was, my, their] = [base, mine, theirs] as string[][]
    return ['a', 'b', 'c', 'd'].filter((element) => {
      const changedByMe = was?.includes(element) !== my?.includes(element)
      return changedByMe ? my?.includes(element) : their?.includes(element)
    })
  }
  if (column === 'meta') {
    const merged: Record<string, Json> = {}
    let overlap = false
    for (const key of ['x', 'y', 'z']) {
      const [was, my, their] = [base, mine, theirs].map((side) => (side as Record<string, Json>)[key])
      const value = sameJson(was, my) ? their : my
      if (!sameJson(was, my) && !sameJson(was, their) && !sameJson(my, their)) overlap = true
      if (value !== undefined) merged[key] = value
    }
    return overlap ? conflict : merged
  }
  if (mine === base || mine === theirs) return theirs
  return base === theirs ? mine : conflict
}

describe('three-way merge', () => {
  test('gives each column what the oracle says', () => {
    fc.assert(
      fc.property(
        state,
        state,
        state,
        fc.subarray(['title', 'note', 'rank', 'tags', 'meta', 'place']),
        (base, mine, theirs, columns) => {
          const set = Object.fromEntries(columns.map((column) => [column, mine[column as keyof typeof mine]]))
          const decision = patch(theirs, set, base)
          const result = after(theirs, decision)
          const fields = decision.kind === 'conflict' ? decision.fields : {}
          for (const column of Object.keys(theirs)) {
            const [was, my, their] = [base, mine, theirs].map((side) => side[column as keyof typeof side] as Json) as [
              Json,
              Json,
              Json,
            ]
            const expected = columns.includes(column) ? oracle(column, was, my, their) : their
            if (expected === conflict) {
              expect(fields[column]).toEqual({ base: was, mine: my, theirs: their })
              if (column !== 'meta') expect(result[column]).toEqual(their)
            } else {
              expect(fields).not.toHaveProperty(column)
              if (column === 'tags') expect(sameSet(result[column] as Json, expected)).toBe(true)
              else expect(result[column]).toEqual(expected)
            }
          }
        },
      ),
      runs,
    )
  })

  test('is a noop when sent again', () => {
    fc.assert(
      fc.property(state, state, state, (base, mine, theirs) => {
        const decision = patch(theirs, mine, base)
        if (decision.kind !== 'update' && decision.kind !== 'noop') return
        const row = after(theirs, decision) as State
        const again = patch(row, mine, base)
        expect(after(row, again)).toEqual(row)
      }),
      runs,
    )
  })

  test('loses no value: what is not in the row is in the conflict', () => {
    fc.assert(
      fc.property(state, state, state, (base, mine, theirs) => {
        const decision = patch(theirs, { title: mine.title, rank: mine.rank }, base)
        const row = after(theirs, decision)
        const fields = decision.kind === 'conflict' ? decision.fields : {}
        for (const column of ['title', 'rank'] as const) {
          const wrote = mine[column] !== base[column]
          if (wrote) expect(row[column] === mine[column] || fields[column]?.mine === mine[column]).toBe(true)
          else expect(row[column]).toBe(theirs[column])
        }
      }),
      runs,
    )
  })

  test('does not depend on which of two devices comes first, but for who is in conflict', () => {
    fc.assert(
      fc.property(state, state, state, (base, one, other) => {
        const set = (side: typeof one) => ({ tags: side.tags, meta: side.meta })
        const [first, second] = [patch(base, set(one), base), patch(base, set(other), base)]
        const rows = [
          patch(after(base, first) as State, set(other), base),
          patch(after(base, second) as State, set(one), base),
        ]
        const [a, b] = [
          after(after(base, first) as State, rows[0] ?? first),
          after(after(base, second) as State, rows[1] ?? second),
        ]
        expect(sameSet(a['tags'] as Json, b['tags'] as Json)).toBe(true)
        if (rows.every(({ kind }) => kind !== 'conflict')) expect(a['meta']).toEqual(b['meta'])
        else expect(rows.map(({ kind }) => kind)).toEqual(['conflict', 'conflict'])
      }),
      runs,
    )
  })
})
