import { seededRandom, type Random } from '../../lib/random.ts'
import { createUuidSource } from '../../lib/uuid.ts'
import { loadCatalog, type Catalog } from '../../server/catalog/catalog.ts'
import type { Schema } from '../../protocol/rows/table.ts'
import type { Principal } from '../../server/scope/principal.ts'
import { SimClient } from './sim-client.ts'
import { SimDatabase } from './sim-database.ts'
import type { CrashPoint } from './sim-mutation-store.ts'
import { SimNetwork } from './sim-network.ts'
import { SimRows } from './sim-rows.ts'
import { SimServer } from './sim-server.ts'
import { VirtualClock } from './virtual-clock.ts'

let shared: Catalog | null = null

/** The catalog takes 40 ms to build and never changes. */
function catalogOf(): Catalog {
  return (shared ??= loadCatalog())
}

/**
 * One organization with two users, their team and an agent on four devices; an open project, a private one, and one that
 * the team is in; and a server that can die.
 */
export class World {
  readonly random: Random
  readonly schema: Schema
  readonly clock = new VirtualClock()
  readonly database: SimDatabase
  readonly server: SimServer
  readonly network: SimNetwork
  readonly clients: readonly SimClient[]
  readonly newId: () => string
  readonly organizationId: string
  readonly projects: { readonly open: string; readonly secret: string; readonly shared: string }
  readonly people: { readonly ada: Principal; readonly ben: Principal; readonly scout: Principal }
  readonly team: string
  readonly benMembership: string
  readonly teamMembership: string
  /** The backups there are, the oldest first. */
  readonly #backups: (() => void)[] = []
  /** How often the database was replaced by a backup. */
  restored = 0
  /** Chance that the server dies at a commit; zero once the weather is calm. */
  deathChance = 0

  private constructor(seed: number) {
    const catalog = catalogOf()
    this.schema = catalog.schema
    this.random = seededRandom(seed)
    this.newId = createUuidSource(this.clock, this.random)
    const latency = (): Promise<void> => this.clock.sleep(1 + this.random.next() * 4)
    this.database = new SimDatabase(catalog, this.clock, this.newId(), latency)
    this.server = new SimServer({
      catalog,
      database: this.database,
      clock: this.clock,
      random: this.random,
      latency,
      crashAt: () => this.#crashPoint(),
      died: () => this.crashServer(),
    })
    this.network = new SimNetwork(this.clock, this.random, (end) => this.server.accept(end))
    this.organizationId = this.newId()
    const principal = (kind: 'user' | 'agent'): Principal => ({
      kind,
      id: this.newId(),
      organizationId: this.organizationId,
    })
    this.people = { ada: principal('user'), ben: principal('user'), scout: principal('agent') }
    this.projects = { open: this.newId(), secret: this.newId(), shared: this.newId() }
    this.team = this.newId()
    this.benMembership = this.newId()
    this.teamMembership = this.newId()
    this.#populate()
    const device = (name: string, who: Principal): SimClient =>
      new SimClient({
        name,
        principal: who,
        schema: catalog.schema,
        clock: this.clock,
        random: this.random,
        transport: this.network.transportOf(name),
      })
    this.clients = [
      device('ada-desk', this.people.ada),
      device('ada-phone', this.people.ada),
      device('ben-desk', this.people.ben),
      device('scout', this.people.scout),
    ]
  }

  static async create(seed: number): Promise<World> {
    const world = new World(seed)
    await world.clock.run(0)
    void world.server.start()
    await world.clock.run(1000, () => world.server.isRunning)
    return world
  }

  /** Writes as another service would: straight into the database. */
  foreignWrite(table: string, id: string, values: Readonly<Record<string, unknown>>): void {
    const rows = new SimRows(this.database.rows)
    rows.put(
      table,
      this.database.stamp(table, rows.get(table, id), { id, organizationId: this.organizationId, ...values }),
    )
    this.database.commit({ rows, marks: [], deviceId: null })
  }

  /** Somebody is a member no more, or again. */
  toggleMembership(id: string): void {
    const member = this.database.rows.get('project_members', id)
    this.foreignWrite('project_members', id, {
      deletedAt: member?.['deletedAt'] === null ? new Date(this.clock.now()).toISOString() : null,
    })
  }

  crashServer(): void {
    this.server.crash()
    this.network.breakAll()
    this.clock.after(50 + this.random.next() * 500, () => void this.server.start())
  }

  backUp(): void {
    this.#backups.push(this.server.backUp())
    if (this.#backups.length > 3) this.#backups.shift()
  }

  /** The server dies, and starts again on an older copy of its database: what was committed since is gone, and nobody is told. */
  restore(): void {
    const backup = this.pick(this.#backups)
    if (backup === undefined) return
    this.crashServer()
    backup()
    this.database.startAnew(this.newId())
    this.restored += 1
    // Where the new history has grown past the old one before a device is back, positions alone tell it nothing.
    if (this.chance(0.5)) this.#grow(Math.floor(this.random.next() * 60))
  }

  #grow(commits: number): void {
    for (let number = 0; number < commits; number++) {
      const task = this.pick(this.database.rows.all('tasks'))
      if (task !== undefined) this.foreignWrite('tasks', String(task['id']), { title: `Of a new history ${number}` })
    }
  }

  /** The database is started anew, on nothing but itself. The server may live through it. */
  restartDatabase(): void {
    if (this.chance(0.5)) this.crashServer()
    this.database.startAnew(this.newId())
  }

  pick<T>(items: readonly T[]): T | undefined {
    return items[Math.floor(this.random.next() * items.length)]
  }

  chance(probability: number): boolean {
    return this.random.next() < probability
  }

  #crashPoint(): CrashPoint {
    if (!this.chance(this.deathChance)) return 'none'
    return this.chance(0.5) ? 'before_commit' : 'after_commit'
  }

  #populate(): void {
    const { ada, ben, scout } = this.people
    this.foreignWrite('organizations', this.organizationId, { name: 'Simulation', slug: 'simulation' })
    for (const [who, role] of [
      [ada, 'owner'],
      [ben, 'member'],
    ] as const)
      this.foreignWrite('organization_members', this.newId(), { userId: who.id, role, status: 'active' })
    this.foreignWrite('agents', scout.id, { name: 'scout', agentType: 'generic' })
    this.foreignWrite('projects', this.projects.open, { name: 'Open', slug: 'open', visibility: 'organization' })
    this.foreignWrite('projects', this.projects.secret, {
      name: 'Secret',
      slug: 'secret',
      visibility: 'private',
      ownerUserId: ada.id,
    })
    this.foreignWrite('projects', this.projects.shared, { name: 'Shared', slug: 'shared', visibility: 'private' })
    this.foreignWrite('teams', this.team, { name: 'Crew', slug: 'crew' })
    for (const { id } of [ada, ben])
      this.foreignWrite('team_memberships', this.newId(), { teamId: this.team, userId: id })
    this.foreignWrite('project_members', this.teamMembership, { projectId: this.projects.shared, teamId: this.team })
    this.foreignWrite('project_members', this.newId(), {
      projectId: this.projects.secret,
      userId: ada.id,
      role: 'owner',
    })
    this.foreignWrite('project_members', this.benMembership, {
      projectId: this.projects.secret,
      userId: ben.id,
      role: 'member',
    })
  }
}
