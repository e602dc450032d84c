import { expect, test } from 'vitest'
import { ChannelIndex, hitsOf, verdictOf } from '../../server/hub/route.ts'
import { change, organization, row, spec } from './changes.ts'

const another = organization.replace('a', 'b')

test('a row in the channel is sent', () => {
  expect(verdictOf(change(1), spec())).toBe('upsert')
})

test('a row elsewhere, or of a table not followed, is nothing', () => {
  expect(verdictOf(change(1, { homes: [`organization/${organization}`] }), spec())).toBeUndefined()
  expect(verdictOf(change(1), spec({ tables: ['notes'] }))).toBeUndefined()
})

test('a row of another organization is never sent, wherever it says it lives', () => {
  const foreign = change(1, { organizationId: another })
  expect(verdictOf(foreign, spec())).toBeUndefined()
  expect(verdictOf({ ...foreign, row: null, everywhere: true }, spec())).toBeUndefined()
  expect(verdictOf({ ...foreign, homes: [], formerHomes: ['global'] }, spec())).toBeUndefined()
  expect(verdictOf(change(1, { organizationId: null }), spec())).toBe('upsert')
})

test('a row that left the channel is deleted', () => {
  expect(verdictOf(change(1, { homes: ['x'], formerHomes: ['global'] }), spec())).toBe('delete')
})

test('a row that is gone is deleted where it was', () => {
  expect(verdictOf(change(1, { row: null, homes: [], formerHomes: ['global'] }), spec())).toBe('delete')
})

test('a delete whose place is unknown goes to all of the organization that follow the table', () => {
  const lost = change(1, { row: null, homes: [], everywhere: true })
  expect(verdictOf(lost, spec())).toBe('delete')
  expect(verdictOf(lost, spec({ tables: ['notes'] }))).toBeUndefined()
})

test('a row that does not match the filter is deleted, unless nobody can have it', () => {
  const filtered = spec({ where: { tasks: { status: 'b' } } })
  expect(verdictOf(change(1), filtered)).toBe('delete')
  expect(verdictOf(change(1, { fresh: true }), filtered)).toBeUndefined()
  expect(verdictOf(change(1, { row: row(1, { status: 'b' }) }), filtered)).toBe('upsert')
})

test('equal subscriptions are one spec, whatever the order of their parts', () => {
  const index = new ChannelIndex()
  const first = index.add(
    spec({ id: 'a', tables: ['tasks', 'notes'], where: { tasks: { status: 'a' }, notes: { status: 'b' } } }),
  )
  expect(
    index.add(spec({ id: 'b', tables: ['notes', 'tasks'], where: { notes: { status: 'b' }, tasks: { status: 'a' } } })),
  ).toBe(first)
  expect(index.add(spec())).not.toBe(first)
})

test('sessions of two organizations never share a spec', () => {
  expect(spec().key).not.toBe(spec({}, another).key)
})

test('a channel is followed until its last user is gone', () => {
  const index = new ChannelIndex()
  const one = index.add(spec())
  index.add(spec())
  index.remove(one)
  expect(index.follows('global')).toBe(true)
  index.remove(one)
  expect(index.follows('global')).toBe(false)
  expect(index.followedSince('global')).toBe(Number.POSITIVE_INFINITY)
})

test('a channel that is followed again counts from then', () => {
  const index = new ChannelIndex()
  const one = index.add(spec())
  const before = index.generation
  index.remove(one)
  index.add(one)
  expect(index.followedSince('global')).toBeGreaterThan(before)
  expect(index.has(one, before)).toBe(false)
})

test('routing finds the same hits as asking each spec', () => {
  const index = new ChannelIndex()
  const specs = [spec(), spec({ where: { tasks: { status: 'b' } } }), spec({ channel: `project/${organization}` })].map(
    (one) => index.add(one),
  )
  const changes = [
    change(1),
    change(2, { homes: [`project/${organization}`], formerHomes: ['global'] }),
    change(3, { row: null, homes: [], everywhere: true }),
  ]
  const routed = index.route(changes)
  for (const one of specs) expect(routed.get(one)).toEqual(hitsOf(one, changes))
})
