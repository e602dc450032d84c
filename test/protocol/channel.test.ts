import { describe, expect, test } from 'vitest'
import { channelOf, isSubChannel, parseChannel } from '../../protocol/rows/channel.ts'
import type { Row } from '../../protocol/rows/row.ts'
import type { ScopeRule, TableDescriptor } from '../../protocol/rows/table.ts'

const byProjectOrTeam: ScopeRule = {
  kind: 'columns',
  columns: [
    { scope: 'project', column: 'projectId' },
    { scope: 'team', column: 'ownerTeamId' },
  ],
}
const orOrganization: ScopeRule = { ...byProjectOrTeam, fallback: 'organization' }
const shippable: ScopeRule = { kind: 'columns', columns: [{ scope: 'organization', column: 'organizationId' }] }
const viaConversation: ScopeRule = {
  kind: 'via',
  parent: 'conversations',
  column: 'conversationId',
  channel: 'conversation',
}

const columns = { organizationId: { name: 'organization_id', type: 'uuid', nullable: true } } as const

function tableOf(scope: ScopeRule): TableDescriptor {
  return { name: 'things', direction: 'rw', policy: 'merge', writers: ['member'], scope, columns }
}

describe('the home of a row', () => {
  test.each<[string, ScopeRule, Row]>([
    ['project/p', byProjectOrTeam, { projectId: 'p', ownerTeamId: 't' }],
    ['team/t', byProjectOrTeam, { projectId: null, ownerTeamId: 't' }],
    ['organization/o', orOrganization, { projectId: null, organizationId: 'o' }],
    ['global', shippable, { organizationId: null }],
    ['organization/o', shippable, { organizationId: 'o' }],
    ['project/p', { kind: 'project_home' }, { id: 'p', visibility: 'team', teamId: null }],
    ['organization/o', { kind: 'row' }, { scope: 'organization', organizationId: 'o', projectId: 'p' }],
    ['agent/a', { kind: 'row' }, { scope: 'agent', organizationId: 'o', agentId: 'a' }],
    ['conversation/c', viaConversation, { conversationId: 'c', projectId: 'p' }],
    ['organization/o', { kind: 'project_home' }, { id: 'p', visibility: 'organization', organizationId: 'o' }],
    ['team/t', { kind: 'project_home' }, { id: 'p', visibility: 'team', organizationId: 'o', teamId: 't' }],
    ['project/p', { kind: 'project_home' }, { id: 'p', visibility: 'private', organizationId: 'o' }],
    ['memory/m', { kind: 'conflict_home' }, { channel: 'memory/m' }],
    ['global', { kind: 'global' }, { id: 'x' }],
  ])('is %s', (channel, scope, row) => {
    expect(channelOf(tableOf(scope), row)).toBe(channel)
  })

  test.each<[ScopeRule, Row]>([
    [byProjectOrTeam, { id: 'x', projectId: null }],
    [orOrganization, { id: 'x', projectId: null, organizationId: null }],
    [{ kind: 'row' }, { id: 'x', scope: 'team', teamId: null }],
    [viaConversation, { id: 'x' }],
  ])('cannot be told where its columns are null', (scope, row) => {
    expect(() => channelOf(tableOf(scope), row)).toThrow('Row x of things names no scope')
  })
})

describe('channel names', () => {
  test('are taken apart', () => {
    expect(parseChannel('conversation/1')).toEqual({ kind: 'conversation', id: '1' })
    expect(parseChannel('global')).toEqual({ kind: 'global', id: '' })
    for (const wrong of ['', 'project', 'project/', '/1']) expect(() => parseChannel(wrong)).toThrow('is no channel')
  })

  test('tell sub-channels from those that are followed', () => {
    expect(['conversation/1', 'memory/1'].every(isSubChannel)).toBe(true)
    expect(
      ['global', 'organization/1', 'project/1', 'team/1', 'user/1', 'agent/1', 'device/1'].some(isSubChannel),
    ).toBe(false)
  })
})
