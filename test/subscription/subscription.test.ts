import { expect, test } from 'vitest'
import { shippedSchema } from '@tidewire/client'
import type { Filter } from '../../protocol/rows/filter.ts'
import { subscriptionKey } from '../../client-sdk/replica/subscription-key.ts'
import { channelOfTarget, subscriptionSpec } from '../../client-sdk/subscription/subscription.ts'

const id = '0190b3f0-0000-7000-8000-000000000001'
const owner = { organizationId: id, principal: { kind: 'user', id } } as const
const project = `project/${id}`

test('a target by id is a channel, and its own targets are those of the owner', () => {
  expect(channelOfTarget({ project: id }, null)).toBe(project)
  expect(channelOfTarget({ organization: true }, owner)).toBe(`organization/${id}`)
  expect(channelOfTarget({ user: true }, owner)).toBe(`user/${id}`)
  expect(() => channelOfTarget({ agent: true }, owner)).toThrow(/belongs to the user/)
  expect(() => channelOfTarget({ organization: true }, null)).toThrow(/never been connected/)
})

test.each(['demo', '', id.toUpperCase().replace('B', 'b'), '00000000-0000-0000-0000-000000000000'])(
  'a target that is no id is refused: %j',
  (wrong) => {
    expect(() => channelOfTarget({ project: wrong }, null)).toThrow(/has no id/)
  },
)

test('conflicts are followed whatever tables are named', () => {
  expect(subscriptionSpec(shippedSchema, project, { tables: ['tasks'] }).tables).toEqual(['sync_conflicts', 'tasks'])
  expect(subscriptionSpec(shippedSchema, project, {}).tables).toBeUndefined()
})

test('the same wish has the same id, whatever the order and the spelling of its tables', () => {
  const spec = (...tables: readonly string[]) => subscriptionSpec(shippedSchema, project, { tables })
  expect(spec('tasks', 'task_runs').id).toBe(spec('taskRuns', 'tasks').id)
  expect(spec('tasks').id).not.toBe(spec('messages').id)
  expect(() => spec('nope')).toThrow(/no synced table "nope"/)
})

test('the same filter has the same id, whatever the order of its properties', () => {
  const spec = (where: Record<string, Filter>) => subscriptionSpec(shippedSchema, project, { where })
  const one = spec({
    tasks: { status: 'pending', priority: { in: ['high', 'low'] }, or: [{ title: 'a', description: 'b' }] },
  })
  const other = spec({
    tasks: { or: [{ description: 'b', title: 'a' }], priority: { in: ['high', 'low'] }, status: 'pending' },
  })
  expect(other).toEqual(one)
  expect(JSON.stringify(other)).toBe(JSON.stringify(one))
  expect(spec({ tasks: { status: 'pending', priority: { in: ['low', 'high'] } } }).id).not.toBe(one.id)
})

test('a key is part of the id, and is a name', () => {
  const { id } = subscriptionSpec(shippedSchema, project, { key: 'this-week' })
  expect(subscriptionKey(id)).toBe('this-week')
  expect(id.length).toBeLessThanOrEqual(64)
  expect(subscriptionKey(subscriptionSpec(shippedSchema, project, {}).id)).toBeUndefined()
  expect(() => subscriptionSpec(shippedSchema, project, { key: 'a:b' })).toThrow(/is no name/)
  expect(() => subscriptionSpec(shippedSchema, project, { key: 'x'.repeat(41) })).toThrow(/is no name/)
})
