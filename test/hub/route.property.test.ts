import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { Row } from '../../protocol/rows/row.ts'
import { toObject } from '../../server/db/row-bytes.ts'
import type { Change } from '../../server/hub/feed.ts'
import { ChannelIndex } from '../../server/hub/route.ts'
import { change, row, spec } from './changes.ts'

const value = fc.constantFrom('a', 'b', 'c')
type Keeps = (row: Row) => boolean
/**
 * Filters, each beside what it means, spelled out: the test asks no matcher of the protocol. NULL matches none of them.
 */
const filter = fc.oneof(
  value.map((status) => ({
    where: { status },
    keeps: ((one) => one['status'] === status) as Keeps,
  })),
  value.map((status) => ({
    where: { status: { eq: status } },
    keeps: ((one) => one['status'] === status) as Keeps,
  })),
  value.map((status) => ({
    where: { status: { ne: status } },
    keeps: ((one) => one['status'] !== null && one['status'] !== status) as Keeps,
  })),
  fc.tuple(value, value).map(([one, other]) => ({
    where: { or: [{ status: one }, { status: other }] },
    keeps: ((some) => some['status'] === one || some['status'] === other) as Keeps,
  })),
  value.map((status) => ({
    where: { status, version: { gt: 1 } },
    keeps: ((one) => one['status'] === status && Number(one['version']) > 1) as Keeps,
  })),
)
const channel = fc.constantFrom('global', 'organization/x', 'project/x')
const someSpec = fc
  .record({
    channel,
    tables: fc.uniqueArray(fc.constantFrom('tasks', 'notes'), { minLength: 1 }),
    filters: fc.record({ tasks: filter, notes: filter }, { requiredKeys: [] }),
  })
  .map(({ channel: followed, tables, filters }) => {
    const used = Object.entries(filters).filter(([table]) => tables.some((one) => one === table))
    const where = Object.fromEntries(used.map(([table, one]) => [table, one.where]))
    const keeps = new Map(used.map(([table, one]) => [table, one.keeps]))
    return { channel: followed, tables, keeps, spec: spec({ channel: followed, tables, where }) }
  })

interface Asked {
  readonly channel: string
  readonly tables: readonly string[]
  readonly keeps: ReadonlyMap<string, Keeps>
}

/**
 * What a follower must be told of a change, from what the hub's page says (SPEC I4): nothing, that the row is here, or
 * that it is not.
 */
function told({ channel: followed, tables, keeps }: Asked, { table, row: now, homes, formerHomes, fresh }: Change) {
  if (!tables.includes(table)) return undefined
  const isHere = homes.includes(followed)
  const isKept = now !== null && isHere && (keeps.get(table)?.(toObject(now)) ?? true)
  if (isKept) return 'upsert'
  // Nobody can have a row that was made by this very change, and never was in what they follow.
  if (isHere) return fresh ? undefined : 'delete'
  return formerHomes.includes(followed) ? 'delete' : undefined
}
const someChange = fc
  .record({
    number: fc.nat({ max: 5 }),
    table: fc.constantFrom('tasks', 'notes'),
    status: fc.option(value),
    version: fc.integer({ min: 1, max: 2 }),
    homes: fc.uniqueArray(channel, { minLength: 1, maxLength: 2 }),
    formerHomes: fc.uniqueArray(channel, { maxLength: 1 }),
    fresh: fc.boolean(),
  })
  .map(({ number, table, status, version, homes, formerHomes, fresh }) =>
    change(number + 1, {
      table,
      homes,
      formerHomes: formerHomes.filter((former) => !homes.includes(former)),
      fresh,
      row: row(number + 1, { status, version }),
    }),
  )

test('the index finds exactly what asking every spec finds, whoever came and went', () => {
  fc.assert(
    fc.property(
      fc.array(someSpec, { maxLength: 12 }),
      fc.array(fc.nat({ max: 11 }), { maxLength: 6 }),
      fc.array(someChange, { maxLength: 8 }),
      (specs, gone, changes) => {
        const index = new ChannelIndex()
        const added = specs.map((one) => index.add(one.spec))
        const left = new Set(gone)
        for (const which of left) {
          const one = added[which]
          if (one) index.remove(one)
        }
        const followed = new Set(added.filter((_, which) => !left.has(which)))
        const routed = index.route(changes)
        for (const [which, asked] of specs.entries()) {
          const one = added[which]
          if (one === undefined || !followed.has(one)) continue
          const expected = changes.flatMap((some) => {
            const verdict = told(asked, some)
            return verdict === undefined ? [] : [{ change: some, verdict }]
          })
          expect(routed.get(one) ?? []).toEqual(expected)
        }
        expect([...routed.keys()].every((one) => followed.has(one))).toBe(true)
      },
    ),
    { numRuns: 2000 },
  )
})
