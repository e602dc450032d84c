// From an invitation to a membership.
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { systemRandom } from '../../lib/random.ts'
import type { Json } from '../../protocol/rows/row.ts'
import { createAuth, createSignIn, type SignIn } from '../../server/auth/auth.ts'
import { deactivateUser } from '../../server/auth/leaving.ts'
import { createActionWorld, newId, type ActionWorld } from '../actions/world.ts'
import { ManualClock } from '../support/manual-clock.ts'
import { seedDevice, seedFixture } from '../support/fixtures.ts'

const password = 'correct horse battery staple'
let world: ActionWorld
let signIn: SignIn
let clock: ManualClock
beforeAll(async () => {
  world = await createActionWorld()
  clock = new ManualClock(Date.now())
  const parts = { pool: world.pool, clock, random: systemRandom }
  const auth = createAuth({ ...parts, key: { kind: 'secret', bytes: systemRandom.bytes(32) } })
  signIn = createSignIn({ ...parts, auth })
})
afterAll(() => world.close())

interface Invitation {
  readonly invitationId: string
  readonly token: string
  readonly email: string
}

async function invite(more: Readonly<Record<string, Json>> = {}, who = world.owner): Promise<Invitation> {
  const email = `guest-${newId()}@example.com`
  const answer = await world.call(who, 'members.invite', { email, ...more })
  return {
    email,
    ...(answer as { readonly invitationId: string; readonly token: string }),
    ...('email' in more ? { email: String(more['email']) } : {}),
  }
}
const membersOf = (email: string) =>
  world.query(
    'select m.role, m.status, m.invited_by_user_id from organization_members m join users u on u.id = m.user_id where u.email = $1 and m.organization_id = $2',
    [email, world.fixture.organizationId],
  )

describe('an invitation', () => {
  test('makes an account and a member of whoever has its token, signed in', async () => {
    const { email, token } = await invite({ role: 'admin' })
    const signedIn = await signIn.accept({ token, password, name: 'Grace' })
    expect(signedIn.principal).toMatchObject({ kind: 'user', organizationId: world.fixture.organizationId })
    expect(await membersOf(email)).toEqual([
      { role: 'admin', status: 'active', invited_by_user_id: world.fixture.ownerId },
    ])
    await expect(signIn.signIn({ email, password })).resolves.toMatchObject({ principal: signedIn.principal })
  })

  test('is good once', async () => {
    const { token } = await invite()
    await signIn.accept({ token, password })
    await expect(signIn.accept({ token, password })).rejects.toMatchObject({ code: 'token_invalid' })
  })

  test('adds an account that is there, with its own password and no other', async () => {
    const other = await seedFixture(world.pool)
    const [account] = await world.query('select email from users where id = $1', [other.memberId])
    const email = String(account?.['email'])
    await signIn.setPassword(other.memberId, password)
    const { token } = await invite({ email })
    await expect(signIn.accept({ token, password: 'another password' })).rejects.toMatchObject({
      code: 'sign_in_refused',
    })
    expect(await membersOf(email)).toEqual([])
    await signIn.accept({ token, password })
    expect(await membersOf(email)).toMatchObject([{ role: 'member' }])
  })

  test('ends with its time, when it is withdrawn, and when another one is sent', async () => {
    const late = await invite({ expiresInHours: 1 })
    const withdrawn = await invite()
    await world.call(world.owner, 'members.withdraw', { invitationId: withdrawn.invitationId })
    const former = await invite()
    await invite({ email: former.email })
    for (const { token } of [withdrawn, former])
      await expect(signIn.accept({ token, password })).rejects.toMatchObject({ code: 'token_invalid' })
    await clock.advance(3_700_000)
    await expect(signIn.accept({ token: late.token, password })).rejects.toMatchObject({ code: 'token_expired' })
  })

  test('is made by admins, and into no higher role than their own', async () => {
    const { email, token } = await invite({ role: 'admin' })
    const { principal } = await signIn.accept({ token, password })
    const admin = await world.device('user', principal.id)
    await expect(invite({ role: 'owner' }, admin)).rejects.toMatchObject({ code: 'forbidden' })
    await expect(invite({ role: 'admin' }, admin)).resolves.toBeDefined()
    await expect(invite({}, world.viewer)).rejects.toMatchObject({ code: 'forbidden' })
    await expect(invite({ email }, admin)).rejects.toMatchObject({ code: 'unique_violated' })
  })

  test('is not withdrawn from another organization', async () => {
    const { invitationId } = await invite()
    const other = await seedFixture(world.pool)
    const stranger = await seedDevice(world.pool, {
      organizationId: other.organizationId,
      kind: 'user',
      id: other.ownerId,
    })
    await expect(world.call(stranger, 'members.withdraw', { invitationId })).rejects.toMatchObject({
      code: 'not_found',
    })
    const [row] = await world.query('select withdrawn_at from sync.invitations where id = $1', [invitationId])
    expect(row).toEqual({ withdrawn_at: null })
  })

  test('ends with the right of whoever sent it', async () => {
    const admin = await invite({ role: 'admin' })
    const { principal } = await signIn.accept({ token: admin.token, password })
    const device = await world.device('user', principal.id)
    const [asAdmin, asMember] = [await invite({ role: 'admin' }, device), await invite({}, device)]
    const refused = { code: 'token_invalid', message: expect.stringContaining('may no longer invite') }
    await world.query(`update organization_members set role = 'member' where user_id = $1`, [principal.id])
    await expect(signIn.accept({ token: asAdmin.token, password })).rejects.toMatchObject(refused)
    await world.query(`update organization_members set role = 'admin' where user_id = $1`, [principal.id])
    await deactivateUser({ pool: world.pool, userId: principal.id })
    await expect(signIn.accept({ token: asMember.token, password })).rejects.toMatchObject({ code: 'token_invalid' })
    const [row] = await world.query(
      'select withdrawn_at is not null as withdrawn from sync.invitations where id = $1',
      [asMember.invitationId],
    )
    expect(row).toEqual({ withdrawn: true })
  })

  test.each(['active', 'suspended'])('changes nothing of a membership that is %s', async (status) => {
    const other = await seedFixture(world.pool)
    const [account] = await world.query('select email from users where id = $1', [other.memberId])
    const email = String(account?.['email'])
    await signIn.setPassword(other.memberId, password)
    const { token } = await invite({ email, role: 'viewer' })
    await world.add('organization_members', { user_id: other.memberId, role: 'admin', status })
    await expect(signIn.accept({ token, password })).rejects.toMatchObject({
      code: 'token_invalid',
      message: expect.stringContaining('is suspended there'),
    })
    expect(await membersOf(email)).toMatchObject([{ role: 'admin', status }])
  })

  test('is listed for admins while it is open, without its token', async () => {
    const [open, withdrawn] = [await invite({ role: 'viewer' }), await invite()]
    await world.call(world.owner, 'members.withdraw', { invitationId: withdrawn.invitationId })
    const { invitations } = (await world.call(world.owner, 'members.invitations', {})) as {
      invitations: { invitationId: string }[]
    }
    expect(invitations[0]).toEqual({
      invitationId: open.invitationId,
      email: open.email,
      role: 'viewer',
      invitedByUserId: world.fixture.ownerId,
      expiresAt: expect.stringMatching(/Z$/),
      createdAt: expect.stringMatching(/Z$/),
    })
    expect(invitations.map(({ invitationId }) => invitationId)).not.toContain(withdrawn.invitationId)
    await expect(world.call(world.viewer, 'members.invitations', {})).rejects.toMatchObject({ code: 'forbidden' })
  })

  test('leaves its token nowhere: a repeated call is answered without it', async () => {
    const [id, email] = [newId(), `guest-${newId()}@example.com`]
    const first = await world.call(world.owner, 'members.invite', { email }, id)
    const again = await world.call(world.owner, 'members.invite', { email }, id)
    expect(again).toEqual({ ...(first as object), token: null })
    const { token } = first as { readonly token: string }
    const stored = await world.query(
      `select 1 from sync.calls where answer::text like '%' || $1 || '%' union all select 1 from audit_logs where (before || after)::text like '%' || $1 || '%'`,
      [token],
    )
    expect(stored).toEqual([])
  })
})
