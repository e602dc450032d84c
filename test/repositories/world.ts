import { loadCatalog } from '../../server/catalog/catalog.ts'
import { createRepositories, type Actor, type Repositories } from '../../server/repositories/repositories.ts'
import { createWorld, type World } from '../migrations/rows.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'

export interface RepositoryWorld {
  readonly db: TestDatabase
  readonly repositories: Repositories
  readonly world: World
  /** The user of `world`, in its organization. */
  readonly actor: Actor & { readonly organizationId: string }
  /** What `onCommitted` was told. */
  readonly commits: () => number
}

/** A database with one organization, and repositories on it. */
export async function createRepositoryWorld(kind: 'embedded' | 'postgres'): Promise<RepositoryWorld> {
  const db = await createTestDatabase({ kind })
  const world = await createWorld(db.database.pool)
  const { pool } = db.database
  // Searches find what the user may see.
  await pool.query(`insert into organization_members (organization_id, user_id, role) values ($1, $2, 'owner')`, [
    world.organization,
    world.user,
  ])
  await pool.query('update agents set owner_user_id = $2 where id = $1', [world.agent, world.user])
  let commits = 0
  const repositories = createRepositories({
    database: db.database,
    catalog: loadCatalog(),
    onCommitted: () => void commits++,
  })
  const actor = { organizationId: world.organization, userId: world.user }
  return { db, repositories, world, actor, commits: () => commits }
}
