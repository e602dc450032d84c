// Rows for tests that look at the database itself: `insert` fills in what a table needs and takes the rest.
import type { Pool, PoolClient } from 'pg'

export type Queryable = Pick<Pool | PoolClient, 'query'>
export type SqlRow = Readonly<Record<string, unknown>>

/** Inserts a row given by SQL column names and returns it as stored. */
export async function insert(db: Queryable, table: string, values: SqlRow): Promise<SqlRow & { readonly id: string }> {
  const names = Object.keys(values)
  const places = names.map((_, index) => `$${index + 1}`)
  const { rows } = await db.query(
    `insert into ${table} (${names.join(', ')}) values (${places.join(', ')}) returning *`,
    Object.values(values),
  )
  return rows[0]
}

/** One organization with what most rows refer to. */
export interface World {
  readonly organization: string
  readonly user: string
  readonly agent: string
  readonly team: string
  readonly project: string
}

let worlds = 0

export async function createWorld(db: Queryable): Promise<World> {
  const n = ++worlds
  const { id: organization } = await insert(db, 'organizations', { name: 'Acme', slug: `acme-${n}` })
  const { id: user } = await insert(db, 'users', { email: `ada-${n}@example.com` })
  const { id: agent } = await insert(db, 'agents', {
    organization_id: organization,
    name: 'scout',
    agent_type: 'generic',
  })
  const { id: team } = await insert(db, 'teams', { organization_id: organization, name: 'Core', slug: 'core' })
  const { id: project } = await insert(db, 'projects', { organization_id: organization, name: 'Tide', slug: 'tide' })
  return { organization, user, agent, team, project }
}

export async function rowOf(db: Queryable, table: string, id: string): Promise<SqlRow> {
  const { rows } = await db.query(`select * from ${table} where id = $1`, [id])
  return rows[0]
}
