// Actions over a database of their own, with one organization.
import { systemClock } from '../../lib/clock.ts'
import { systemRandom } from '../../lib/random.ts'
import type { Json } from '../../protocol/rows/row.ts'
import { createActions, shippedActions, type AnyAction } from '../../server/actions/actions.ts'
import { loadCatalog } from '../../server/catalog/catalog.ts'
import type { DevicePrincipal } from '../../server/scope/principal.ts'
import { createTestDatabase, type TestDatabaseOptions } from '../support/database.ts'
import { newId, seedDevice, seedFixture } from '../support/fixtures.ts'
import { insert, rowOf, type SqlRow } from '../migrations/rows.ts'

/** What actions of pipelines answer, as far as tests look. */
export interface Execution {
  readonly id: string
  readonly status: string
  readonly gateStatus: string
  readonly errorMessage: string | null
  readonly outputs: Json
}
export interface Step {
  readonly id: string
  readonly stepName: string
  readonly attempt: number
}
export interface Claim {
  readonly step: Step | null
  readonly work: Readonly<Record<string, Json>> | null
}

export async function createActionWorld(kind?: TestDatabaseOptions['kind'], more: readonly AnyAction[] = []) {
  const test = await createTestDatabase(kind === undefined ? {} : { kind })
  const { pool } = test.database
  const fixture = await seedFixture(pool)
  const actions = createActions({
    pool,
    catalog: loadCatalog(),
    clock: systemClock,
    random: systemRandom,
    actions: [...shippedActions, ...more],
  })
  const device = (of: 'agent' | 'user', id: string): Promise<DevicePrincipal> =>
    seedDevice(pool, { organizationId: fixture.organizationId, kind: of, id })
  const add = (table: string, values: SqlRow) =>
    insert(pool, table, { organization_id: fixture.organizationId, ...values })
  return {
    pool,
    fixture,
    actions,
    device,
    add,
    agent: await device('agent', fixture.agentId),
    owner: await device('user', fixture.ownerId),
    viewer: await device('user', fixture.viewerId),
    addTask: (values: SqlRow = {}) => add('tasks', { project_id: fixture.projectId, title: 'T', ...values }),
    read: (table: string, id: string) => rowOf(pool, table, id),
    call: (who: DevicePrincipal, action: string, input: Json, id = newId()) => actions.call(who, { id, action, input }),
    query: async (text: string, values: readonly unknown[] = []): Promise<SqlRow[]> =>
      (await pool.query(text, [...values])).rows,
    close: () => test.close(),
  }
}

export type ActionWorld = Awaited<ReturnType<typeof createActionWorld>>
export { newId }
