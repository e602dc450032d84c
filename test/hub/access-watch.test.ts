import { expect, test } from 'vitest'
import { AccessWatch } from '../../server/hub/access-watch.ts'
import type { Change } from '../../server/hub/feed.ts'
import { change, organization, row, taskId } from './changes.ts'

const principal = { organizationId: organization, kind: 'user', id: taskId(1), deviceId: taskId(2) } as const
const project = taskId(3)
const team = taskId(6)
const channels = new Map([`project/${project}`, `team/${team}`].map((channel) => [channel, 'member'] as const))
const session = { principal, access: { channels }, follows: () => false }
const stranger = {
  principal: { ...principal, id: taskId(8), deviceId: taskId(9) },
  access: { channels: new Map() },
  follows: () => false,
}

function changed(table: string, id: string, values: Readonly<Record<string, string | null>> | null): Change {
  return change(1, { table, id, row: values && { ...row(1), ...values } })
}

const cases: readonly (readonly [string, Change])[] = [
  ['its membership', changed('organization_members', taskId(5), { userId: principal.id })],
  ['a membership that is gone', changed('organization_members', taskId(5), null)],
  ['its user', changed('users', principal.id, { status: 'suspended' })],
  ['its device', changed('devices', principal.deviceId, { revokedAt: 'now' })],
  ['its team membership', changed('team_memberships', taskId(5), { userId: principal.id })],
  ['a project it may follow', changed('projects', project, { visibility: 'private' })],
  ['its membership of a project', changed('project_members', taskId(5), { projectId: project, userId: principal.id })],
  ["its team's membership of a project", changed('project_members', taskId(5), { projectId: project, teamId: team })],
  ['its organization', changed('organizations', organization, { status: 'suspended' })],
]

for (const [name, one] of cases) {
  test(`${name} concerns a session`, () => {
    expect(new AccessWatch().concerned([one], [session])).toEqual([principal])
  })
}

test('who follows what it has no access to any more is concerned by what took it', () => {
  const late = { ...stranger, follows: (channel: string) => channel === `project/${project}` }
  const closed = changed('projects', project, { visibility: 'private' })
  expect(new AccessWatch().concerned([closed], [stranger, late])).toEqual([late.principal])
})

test('what is about others concerns nobody', () => {
  const others = cases
    .map(([, one]) => one)
    .filter(({ table, row: values }) => values !== null && table !== 'organizations')
  expect(new AccessWatch().concerned(others, [stranger])).toEqual([])
  expect(new AccessWatch().concerned([change(1)], [session])).toEqual([])
})

test('another organization is not concerned', () => {
  const foreign = { ...changed('organization_members', taskId(5), null), organizationId: taskId(7) }
  expect(new AccessWatch().concerned([foreign], [session])).toEqual([])
})

test('a change of other columns evaluates nobody again, once it was dealt with', () => {
  const watch = new AccessWatch()
  const [first, renamed, closed] = ['organization', 'organization', 'private'].map((visibility) =>
    changed('projects', project, { visibility, name: visibility }),
  )
  if (!first || !renamed || !closed) throw new Error('three')
  expect(watch.concerned([first], [session])).toHaveLength(1)
  // The read failed; it is tried again.
  expect(watch.concerned([first], [session])).toHaveLength(1)
  watch.remember({ changes: [first], moment: 1 })
  expect(watch.concerned([renamed], [session])).toEqual([])
  expect(watch.concerned([closed], [session])).toHaveLength(1)
})

test('an agent is evaluated again when it leaves its team', () => {
  const watch = new AccessWatch()
  const agent = {
    principal: { ...principal, kind: 'agent' },
    access: { channels: new Map() },
    follows: () => false,
  } as const
  const [inTeam, alone] = [taskId(6), null].map((teamId) => changed('agents', principal.id, { teamId }))
  if (!inTeam || !alone) throw new Error('two')
  watch.remember({ changes: [inTeam], moment: 1 })
  expect(watch.concerned([inTeam], [agent])).toEqual([])
  expect(watch.concerned([alone], [agent])).toHaveLength(1)
})
