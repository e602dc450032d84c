import { expect, test } from 'vitest'
import { shippedSchema } from '@tidewire/client'
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
