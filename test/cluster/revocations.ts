// Every way in which somebody's right to be connected, to see a project or to write in it ends while they are
// connected.
import type pg from 'pg'
import { systemClock } from '../../lib/clock.ts'
import { systemRandom } from '../../lib/random.ts'
import { createAuth, createSignIn, openSigningKey } from '../../server/auth/auth.ts'
import { insertRow } from '../../server/db/db.ts'
import type { Principal } from '../../server/scope/principal.ts'
import { newId, seedUser, type Fixture } from '../support/fixtures.ts'

/** Somebody with a right, and how it ends. */
export interface Holder {
  readonly token: string
  /** What they follow. */
  readonly projectId: string
  /** Through one of the servers where there is a request for it, else by SQL. */
  readonly end: (url: string) => Promise<unknown>
}

/** What is seen of an end: the connection ends with a code, the channel is left, or writes are refused. */
export type Effect = { readonly code: string } | 'leaves' | 'writes refused'

export interface Revocation {
  readonly name: string
  readonly effect: Effect
  hold(): Promise<Holder>
}

export interface RevocationPlace {
  readonly pool: pg.Pool
  readonly fixture: Fixture
  /** AUTH_SECRET of the servers. */
  readonly secret: string
}

const password = 'correct horse battery staple'

/** All of them; each has people or agents of its own, who follow the project of the fixture. */
export async function allRevocations({ pool, fixture, secret }: RevocationPlace): Promise<readonly Revocation[]> {
  const { organizationId, ownerId, projectId } = fixture
  const parts = { pool, clock: systemClock, random: systemRandom }
  const auth = createAuth({ ...parts, key: await openSigningKey({ kind: 'secret', secret }, systemRandom) })
  const signIn = createSignIn({ ...parts, auth })
  const inOrganization = { organization_id: organizationId }

  const person = async (): Promise<Principal> => ({
    kind: 'user',
    id: await seedUser(pool, organizationId, 'member'),
    organizationId,
  })
  const agent = async (): Promise<Principal> => {
    const id = newId()
    const name = `agent ${id}`
    await insertRow(pool, 'agents', { id, ...inOrganization, owner_user_id: ownerId, name, agent_type: 'generic' })
    await insertRow(pool, 'project_members', { id: newId(), ...inOrganization, project_id: projectId, agent_id: id })
    return { kind: 'agent', id, organizationId }
  }
  /** A statement about the id of whoever `who` makes. */
  const bySql = (who: () => Promise<Principal>, statement: string) => async (): Promise<Holder> => {
    const principal = await who()
    return {
      token: await auth.issueToken(principal, 3600),
      projectId,
      end: () => pool.query(statement, [principal.id]),
    }
  }
  const byToken = (who: () => Promise<Principal>, statement: string) => async (): Promise<Holder> => {
    const principal = await who()
    return {
      token: await auth.issueAccessToken(principal, 'test', { ttlSeconds: 3600 }),
      projectId,
      end: () => pool.query(statement, [principal.id]),
    }
  }
  const byRequest = (path: string, bodyOf: (of: { email: string; refreshToken: string }) => object) => async () => {
    const { id } = await person()
    const email = `member-${id}@example.com`
    await signIn.setPassword(id, password)
    const { token, refreshToken } = await signIn.signIn({ email, password })
    return { token, projectId, end: (url: string) => post(url + path, bodyOf({ email, refreshToken })) }
  }
  /** A project that nobody but its owner and this member may see. */
  const inPrivate = (statement: string) => async (): Promise<Holder> => {
    const [{ id: userId }, id] = [await person(), newId()]
    const project = { id, ...inOrganization, owner_user_id: ownerId, name: 'Private', slug: `p-${id}` }
    await insertRow(pool, 'projects', { ...project, visibility: 'private' })
    await insertRow(pool, 'project_members', { id: newId(), ...inOrganization, project_id: id, user_id: userId })
    return {
      token: await auth.issueToken({ kind: 'user', id: userId, organizationId }, 3600),
      projectId: id,
      end: () => pool.query(statement, [userId]),
    }
  }
  const refused = { code: 'token_invalid' } as const
  return [
    {
      name: 'an access token is revoked',
      effect: refused,
      hold: byToken(person, 'update access_tokens set revoked_at = now() where user_id = $1'),
    },
    {
      name: 'the access token of an agent is deleted',
      effect: refused,
      hold: byToken(agent, 'delete from access_tokens where agent_id = $1'),
    },
    {
      name: 'the end of an access token is set earlier',
      effect: { code: 'token_expired' },
      hold: byToken(person, `update access_tokens set expires_at = now() - interval '1 s' where user_id = $1`),
    },
    {
      name: 'a session is signed out',
      effect: refused,
      hold: byRequest('/auth/sign-out', ({ refreshToken }) => ({ refreshToken })),
    },
    {
      name: 'a password is changed',
      effect: refused,
      hold: byRequest('/auth/password', ({ email }) => ({ email, password, newPassword: `${password} again` })),
    },
    {
      name: 'devices are revoked',
      effect: { code: 'device_revoked' },
      hold: bySql(person, 'update devices set revoked_at = now() where user_id = $1'),
    },
    {
      name: 'a user is suspended',
      effect: refused,
      hold: bySql(person, `update users set status = 'suspended' where id = $1`),
    },
    {
      name: 'an agent is paused',
      effect: refused,
      hold: bySql(agent, `update agents set lifecycle = 'paused' where id = $1`),
    },
    {
      name: 'an agent is retired',
      effect: refused,
      hold: bySql(agent, `update agents set lifecycle = 'retired' where id = $1`),
    },
    {
      name: 'a member leaves the organization',
      effect: refused,
      hold: bySql(person, 'update organization_members set deleted_at = now() where user_id = $1'),
    },
    {
      name: 'a member leaves a project',
      effect: 'leaves',
      hold: inPrivate('delete from project_members where user_id = $1'),
    },
    {
      name: 'a member becomes a viewer',
      effect: 'writes refused',
      hold: bySql(person, `update organization_members set role = 'viewer' where user_id = $1`),
    },
  ]
}

async function post(url: string, body: object): Promise<void> {
  const answer = await fetch(url, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
  })
  if (!answer.ok) throw new Error(`${url} answered ${answer.status}: ${await answer.text()}`)
}
