import { describe, expect, test } from 'vitest'
import { authorise, isVisible, type AuthoriseInput, type Image } from '../../server/mutation/authorise.ts'
import type { Access } from '../../server/scope/access.ts'
import type { Principal } from '../../server/scope/principal.ts'
import type { Row } from '../../protocol/rows/row.ts'
import { roles, type Role, type TableDescriptor, type Writer } from '../../protocol/rows/table.ts'
import { documents } from './documents.ts'

const organizationId = 'o1'
const user: Principal = { organizationId, kind: 'user', id: 'u1' }
const agent: Principal = { organizationId, kind: 'agent', id: 'a1' }

const writable = (...writers: Writer[]): TableDescriptor => ({ ...documents, writers })
const accessTo = (channels: Record<string, Role | 'agent'>): Access => ({
  active: true,
  channels: new Map(Object.entries(channels)),
})
const image = (homes: readonly string[], row: Row = {}): Image => ({ row: { organizationId, ...row }, homes })

/** What is refused, as its code; undefined when it may be done. */
function check(
  input: Partial<AuthoriseInput> & Pick<AuthoriseInput, 'table' | 'access' | 'after'>,
): string | undefined {
  return authorise({ guards: {}, principal: user, op: 'patch', before: input.after, ...input })?.code
}

describe('a role', () => {
  test.each(roles.flatMap((needed) => roles.map((held) => [needed, held] as const)))(
    '%s is needed, %s is held',
    (needed, held) => {
      const allowed = roles.indexOf(held) >= roles.indexOf(needed)
      const result = check({
        table: writable(needed),
        access: accessTo({ 'project/p': held }),
        after: image(['project/p']),
      })
      expect(result).toBe(allowed ? undefined : 'forbidden')
    },
  )

  test('counts where the row lives, not elsewhere', () => {
    const access = accessTo({ 'project/p': 'owner', 'project/q': 'viewer' })
    expect(check({ table: writable('member'), access, after: image(['project/q']) })).toBe('forbidden')
    expect(check({ table: writable('member'), access, after: image(['conversation/c', 'project/p']) })).toBeUndefined()
    expect(check({ table: writable('member'), access, after: image(['project/z']) })).toBe('forbidden')
  })

  test('is needed where a row comes from and where it goes', () => {
    const access = accessTo({ 'project/p': 'member', 'project/q': 'viewer' })
    const [p, q] = [image(['project/p']), image(['project/q'])]
    const table = writable('member')
    expect(check({ table, access, before: p, after: p })).toBeUndefined()
    expect(check({ table, access, before: p, after: q })).toBe('forbidden')
    expect(check({ table, access, before: q, after: p })).toBe('forbidden')
    expect(check({ table, access, op: 'insert', before: null, after: q })).toBe('forbidden')
  })

  test('is named in the refusal', () => {
    const refusal = authorise({
      table: writable('admin', 'self'),
      guards: {},
      principal: user,
      access: accessTo({ 'project/p': 'viewer' }),
      op: 'insert',
      before: null,
      after: image(['project/p']),
    })
    expect(refusal?.message).toMatch(/user u1 .* documents in project\/p: .* an admin, or the row's own user/)
  })

  test('of the organization is none for agents', () => {
    const access = accessTo({ 'organization/o1': 'agent' })
    expect(check({ table: writable('viewer'), principal: agent, access, after: image(['organization/o1']) })).toBe(
      'forbidden',
    )
  })
})

describe('self', () => {
  const table = writable('self')
  test('is the user of the row, or whose own channel it is in', () => {
    expect(
      check({
        table,
        access: accessTo({ 'organization/o1': 'viewer' }),
        after: image(['organization/o1'], { userId: 'u1' }),
      }),
    ).toBeUndefined()
    expect(check({ table, access: accessTo({ 'user/u1': 'owner' }), after: image(['user/u1']) })).toBeUndefined()
    expect(
      check({
        table,
        access: accessTo({ 'organization/o1': 'viewer' }),
        after: image(['organization/o1'], { userId: 'u2' }),
      }),
    ).toBe('forbidden')
  })

  test('is not whom a row that names its own scope is about', () => {
    const access = accessTo({ 'project/p': 'viewer' })
    expect(
      check({ table: { ...table, scope: { kind: 'row' } }, access, after: image(['project/p'], { userId: 'u1' }) }),
    ).toBe('forbidden')
  })

  test('does not let an agent write as the user of a row', () => {
    expect(
      check({
        table,
        principal: agent,
        access: accessTo({ 'agent/a1': 'agent' }),
        after: image(['agent/a1'], { userId: 'a1' }),
      }),
    ).toBe('forbidden')
  })
})

describe('an agent', () => {
  const table = writable('agent')
  const organization = accessTo({ 'organization/o1': 'agent', 'team/t': 'agent' })
  const may = (access: Access, row: Row, homes: readonly string[], over: Partial<AuthoriseInput> = {}) =>
    check({ table, principal: agent, access, after: image(homes, row), ...over }) === undefined

  test('writes in projects it follows and in its own channel', () => {
    expect(may(accessTo({ 'project/p': 'agent' }), {}, ['project/p'])).toBe(true)
    expect(may(accessTo({ 'project/p': 'agent' }), {}, ['project/q'])).toBe(false)
    expect(may(accessTo({ 'agent/a1': 'agent' }), {}, ['agent/a1'])).toBe(true)
  })

  test.each(['agentId', 'senderAgentId', 'assignedAgentId'])('writes rows elsewhere whose %s it is', (property) => {
    expect(may(organization, { [property]: 'a1' }, ['organization/o1'])).toBe(true)
    expect(may(organization, { [property]: 'a2' }, ['organization/o1'])).toBe(false)
  })

  test('changes what it made, but authorship alone lets it put nothing anywhere', () => {
    const made = image(['team/t'], { createdByAgentId: 'a1' })
    expect(check({ table, principal: agent, access: organization, before: made, after: made })).toBeUndefined()
    expect(check({ table, principal: agent, access: organization, op: 'insert', before: null, after: made })).toBe(
      'forbidden',
    )
  })

  test('writes its own row of agents and no other', () => {
    const agents = { ...table, name: 'agents' }
    expect(may(organization, { id: 'a1' }, ['organization/o1'], { table: agents })).toBe(true)
    expect(may(organization, { id: 'a2', agentId: 'a1' }, ['organization/o1'], { table: agents })).toBe(false)
  })

  test('does not reopen what has ended; a member does', () => {
    const [before, after] = [image(['project/p'], { status: 'done' }), image(['project/p'], { status: 'pending' })]
    const both = writable('member', 'agent')
    expect(check({ table: both, principal: agent, access: accessTo({ 'project/p': 'agent' }), before, after })).toBe(
      'forbidden',
    )
    expect(check({ table: both, access: accessTo({ 'project/p': 'member' }), before, after })).toBeUndefined()
    const stuck = image(['project/p'], { status: 'doing' })
    expect(
      check({ table: both, principal: agent, access: accessTo({ 'project/p': 'agent' }), before: stuck, after }),
    ).toBeUndefined()
  })

  test('refuses a user where only agents may write', () => {
    expect(check({ table, access: accessTo({ 'project/p': 'owner' }), after: image(['project/p']) })).toBe('forbidden')
  })
})

describe('a guest of the parent', () => {
  const shared = (home: string): Image => ({ ...image(['knowledge_entry/k', 'project/p', home]), guests: [home] })

  test('is no owner of what hangs under it, as everybody is in a channel of their own', () => {
    const access = accessTo({ 'user/u1': 'owner' })
    const own = image(['knowledge_entry/k', 'user/u1'])
    expect(check({ table: writable('member'), access, after: own })).toBeUndefined()
    expect(check({ table: writable('member'), access, after: shared('user/u1') })).toBe('forbidden')
    expect(
      check({
        table: writable('agent'),
        access: accessTo({ 'agent/a1': 'agent' }),
        principal: agent,
        after: shared('agent/a1'),
      }),
    ).toBe('forbidden')
  })

  test('writes there where the table names self', () => {
    const table = writable('member', 'agent', 'self')
    expect(check({ table, access: accessTo({ 'user/u1': 'owner' }), after: shared('user/u1') })).toBeUndefined()
    expect(
      check({ table, access: accessTo({ 'agent/a1': 'agent' }), principal: agent, after: shared('agent/a1') }),
    ).toBeUndefined()
  })

  test('keeps the role it has where the parent lives', () => {
    const access = accessTo({ 'user/u1': 'owner', 'project/p': 'member' })
    expect(check({ table: writable('member'), access, after: shared('user/u1') })).toBeUndefined()
    expect(check({ table: writable('admin'), access, after: shared('user/u1') })).toBe('forbidden')
  })
})

describe('nobody', () => {
  const access = accessTo({ 'organization/o1': 'owner', 'project/p': 'owner' })
  test('writes where only the server does', () => {
    expect(check({ table: { ...writable('member'), direction: 'ro' }, access, after: image(['project/p']) })).toBe(
      'forbidden',
    )
    expect(check({ table: { ...writable('member'), policy: 'server' }, access, after: image(['project/p']) })).toBe(
      'forbidden',
    )
    expect(check({ table: writable(), access, after: image(['project/p']) })).toBe('forbidden')
  })

  test('changes what can only be uploaded', () => {
    const table = { ...writable('member'), direction: 'up' } as const
    expect(check({ table, access, after: image(['project/p']) })).toBe('forbidden')
    expect(check({ table, access, op: 'insert', before: null, after: image(['project/p']) })).toBeUndefined()
  })

  test('writes rows of another organization or of none', () => {
    expect(check({ table: writable('viewer'), access, after: image(['project/p'], { organizationId: 'o2' }) })).toBe(
      'forbidden',
    )
    expect(
      check({ table: writable('viewer'), access, after: image(['organization/o1'], { organizationId: null }) }),
    ).toBe('forbidden')
  })

  test('writes under a shipped row, which every organization sees', () => {
    const everywhere = accessTo({ global: 'owner', 'organization/o1': 'owner' })
    expect(check({ table: writable('viewer'), access: everywhere, after: image(['prompt/p', 'global']) })).toBe(
      'forbidden',
    )
  })

  test('writes when not active', () => {
    expect(
      check({ table: writable('viewer'), access: { ...access, active: false }, after: image(['project/p']) }),
    ).toBe('forbidden')
  })
})

test('sees what is carried by a followed channel, or by all', () => {
  const access = accessTo({ 'project/p': 'viewer' })
  expect(isVisible(access, image(['conversation/c', 'project/p']))).toBe(true)
  expect(isVisible(access, image(['project/q']))).toBe(false)
  expect(isVisible(access, image(['global']))).toBe(true)
})
