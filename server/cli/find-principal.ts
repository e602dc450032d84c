import type pg from 'pg'
import { TideError } from '../../protocol/error.ts'

/** As in server/scope, spelled out so that this room needs no other. */
export interface FoundPrincipal {
  readonly kind: 'user' | 'agent'
  readonly id: string
  readonly organizationId: string
}

export interface PrincipalQuery {
  readonly user?: string
  readonly agent?: string
  /** Slug; needed only when the name is known in several organizations. */
  readonly org?: string
}

interface Found {
  readonly id: string
  readonly organization_id: string
  readonly slug: string
}

const users = `
select u.id, m.organization_id, o.slug from users u
join organization_members m on m.user_id = u.id and m.status = 'active' and m.deleted_at is null
join organizations o on o.id = m.organization_id and o.deleted_at is null
where u.email = lower($1) and u.deleted_at is null and ($2::text is null or o.slug = $2) order by o.slug`

const agents = `
select a.id, a.organization_id, o.slug from agents a
join organizations o on o.id = a.organization_id and o.deleted_at is null
where a.name = $1 and a.deleted_at is null and ($2::text is null or o.slug = $2) order by o.slug`

/** The user by e-mail address or the agent by name. Errors: `not_found`, `invalid_value` when more than one fits. */
export async function findPrincipal(pool: pg.Pool, { user, agent, org }: PrincipalQuery): Promise<FoundPrincipal> {
  const name = user ?? agent
  const isBoth = user !== undefined && agent !== undefined
  if (name === undefined || isBoth) {
    const message = isBoth ? `A user (${user}) and an agent (${agent}) were given.` : 'Whose token it is was not said.'
    throw new TideError('invalid_value', message, { remedy: 'Give either --user EMAIL or --agent NAME.' })
  }
  const kind = user === undefined ? 'agent' : 'user'
  const { rows } = await pool.query<Found>(kind === 'user' ? users : agents, [name, org ?? null])
  const [first, ...others] = rows
  const where = org === undefined ? '' : ` in organization ${org}`
  if (!first)
    throw new TideError('not_found', `There is no ${kind} ${name}${where}.`, {
      remedy: 'Check the spelling; `npx tidewire seed --demo` makes ada@example.com and agent scout.',
    })
  if (others.length > 0) {
    throw new TideError(
      'invalid_value',
      `There is a ${kind} ${name} in several organizations: ${rows.map(({ slug }) => slug).join(', ')}.`,
      { remedy: 'Say which with --org SLUG.' },
    )
  }
  return { kind, id: first.id, organizationId: first.organization_id }
}

/** The organization of that slug, or the only one. Errors: `not_found`, `invalid_value` when there are several. */
export async function findOrganization(pool: pg.Pool, slug: string | undefined): Promise<string> {
  const { rows } = await pool.query<{ readonly id: string; readonly slug: string }>(
    'select id, slug from organizations where deleted_at is null and ($1::text is null or slug = $1) order by slug limit 20',
    [slug ?? null],
  )
  const [first, ...others] = rows
  if (!first)
    throw new TideError(
      'not_found',
      slug === undefined ? 'There is no organization.' : `There is no organization ${slug}.`,
      {
        remedy: 'Check the spelling; `npx tidewire seed --demo` makes organization demo.',
      },
    )
  if (others.length > 0)
    throw new TideError(
      'invalid_value',
      `There are several organizations: ${rows.map((row) => row.slug).join(', ')}.`,
      {
        remedy: 'Say which with --org SLUG.',
      },
    )
  return first.id
}
