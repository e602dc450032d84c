import fc from 'fast-check'
import { expect, test } from 'vitest'
import { ChannelIndex, hitsOf } from '../../server/hub/route.ts'
import { change, row, spec } from './changes.ts'

const value = fc.constantFrom('a', 'b', 'c')
const filter = fc.oneof(
  value.map((status) => ({ status })),
  value.map((status) => ({ status: { eq: status } })),
  value.map((status) => ({ status: { ne: status } })),
  fc.tuple(value, value).map(([one, other]) => ({ or: [{ status: one }, { status: other }] })),
  value.map((status) => ({ status, version: { gt: 1 } })),
)
const channel = fc.constantFrom('global', 'organization/x', 'project/x')
const someSpec = fc
  .record({
    channel,
    tables: fc.uniqueArray(fc.constantFrom('tasks', 'notes'), { minLength: 1 }),
    filters: fc.record({ tasks: filter, notes: filter }, { requiredKeys: [] }),
  })
  .map(({ channel: followed, tables, filters }) =>
    spec({
      channel: followed,
      tables,
      where: Object.fromEntries(Object.entries(filters).filter(([table]) => tables.some((one) => one === table))),
    }),
  )
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
        const added = specs.map((one) => index.add(one))
        const left = new Set(gone)
        for (const which of left) {
          const one = added[which]
          if (one) index.remove(one)
        }
        const followed = new Set(added.filter((_, which) => !left.has(which)))
        const routed = index.route(changes)
        for (const one of followed) expect(routed.get(one) ?? []).toEqual(hitsOf(one, changes))
        expect([...routed.keys()].every((one) => followed.has(one))).toBe(true)
      },
    ),
    { numRuns: 2000 },
  )
})
