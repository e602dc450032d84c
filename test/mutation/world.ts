// A small organization to write to, as rows of a real database.
import { loadCatalog } from '../../server/catalog/catalog.ts'
import { createMutations, type Mutations } from '../../server/mutation/mutations.ts'
import { createSqlMutationStore } from '../../server/mutation/sql-mutation-store.ts'
import type { DevicePrincipal } from '../../server/scope/principal.ts'
import type { Mutation, Outcome } from '../../protocol/messages/mutation.ts'
import { systemClock } from '../../lib/clock.ts'
import { systemRandom } from '../../lib/random.ts'
import { createUuidSource } from '../../lib/uuid.ts'
import type { Database } from '../../server/db/db.ts'

export const newId = createUuidSource(systemClock, systemRandom)
export const catalog = loadCatalog()

type Fields = Partial<Omit<Mutation, 'clientSeq'>> & Pick<Mutation, 'table' | 'op'>

/** A device with its counter. `push` sends mutations as they are, `send` makes and pushes them. */
export class TestDevice {
  readonly principal: DevicePrincipal
  readonly #mutations: Mutations
  #clientSeq = 0

  constructor(mutations: Mutations, principal: DevicePrincipal) {
    this.#mutations = mutations
    this.principal = principal
  }

  make(fields: Fields): Mutation {
    this.#clientSeq += 1
    return { id: newId(), clientSeq: this.#clientSeq, rowId: newId(), at: systemClock.now(), ...fields }
  }

  push(mutations: readonly Mutation[]): Promise<readonly Outcome[]> {
    return this.#mutations.push(this.principal, mutations)
  }

  async send(...fields: readonly Fields[]): Promise<readonly Outcome[]> {
    return this.push(fields.map((one) => this.make(one)))
  }

  async one(fields: Fields): Promise<Outcome> {
    const [outcome] = await this.send(fields)
    if (!outcome) throw new Error('There is no outcome.')
    return outcome
  }
}

export interface World {
  readonly mutations: Mutations
  readonly organizationId: string
  readonly projectId: string
  /** Users: ada is owner, ben member, eve viewer. scout is an agent in the project. */
  readonly ada: TestDevice
  readonly ben: TestDevice
  readonly eve: TestDevice
  readonly scout: TestDevice
  device(kind: 'user' | 'agent', id: string): Promise<TestDevice>
  query<R = Record<string, unknown>>(text: string, values?: readonly unknown[]): Promise<readonly R[]>
}

export async function createWorld(database: Database, onCommitted?: () => void): Promise<World> {
  const { pool } = database
  const query = async <R>(text: string, values: readonly unknown[] = []): Promise<readonly R[]> =>
    (await pool.query(text, [...values])).rows as R[]
  const mutations = createMutations({
    store: createSqlMutationStore({ pool, catalog }),
    catalog,
    clock: systemClock,
    ...(onCommitted ? { onCommitted } : {}),
  })
  const [organizationId, projectId, agentId] = [newId(), newId(), newId()]
  await query('insert into organizations (id, name, slug) values ($1, $2, $3)', [
    organizationId,
    'Demo',
    `demo-${organizationId.slice(-8)}`,
  ])
  const device = async (kind: 'user' | 'agent', id: string): Promise<TestDevice> => {
    const deviceId = newId()
    await query(
      `insert into devices (id, organization_id, ${kind}_id, fingerprint, name, kind) values ($1, $2, $3, $4, $5, 'cli')`,
      [deviceId, organizationId, id, deviceId, 'test'],
    )
    return new TestDevice(mutations, { organizationId, kind, id, deviceId })
  }
  const user = async (name: string, role: string): Promise<TestDevice> => {
    const id = newId()
    await query('insert into users (id, email, name) values ($1, $2, $3)', [id, `${name}-${id}@example.com`, name])
    await query('insert into organization_members (id, organization_id, user_id, role) values ($1, $2, $3, $4)', [
      newId(),
      organizationId,
      id,
      role,
    ])
    return device('user', id)
  }
  const [ada, ben, eve] = [await user('ada', 'owner'), await user('ben', 'member'), await user('eve', 'viewer')]
  await query('insert into projects (id, organization_id, name, slug, owner_user_id) values ($1, $2, $3, $4, $5)', [
    projectId,
    organizationId,
    'P',
    'p',
    ada.principal.id,
  ])
  await query(`insert into agents (id, organization_id, name, agent_type) values ($1, $2, 'scout', 'researcher')`, [
    agentId,
    organizationId,
  ])
  await query('insert into project_members (id, organization_id, project_id, agent_id) values ($1, $2, $3, $4)', [
    newId(),
    organizationId,
    projectId,
    agentId,
  ])
  const scout = await device('agent', agentId)
  return { mutations, organizationId, projectId, ada, ben, eve, scout, device, query }
}
