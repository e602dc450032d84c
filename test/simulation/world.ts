import { createUuidSource } from '../../lib/uuid.ts'
import { loadCatalog, type Catalog } from '../../server/catalog/catalog.ts'
import type { Schema } from '../../protocol/rows/table.ts'
import type { Principal } from '../../server/scope/principal.ts'
import { Fates, type Dice } from './dice.ts'
import { deviceNames, type Plan } from './plan.ts'
import { SimClient } from './sim-client.ts'
import { SimDatabase } from './sim-database.ts'
import type { LastCommit } from './sim-process.ts'
import type { CrashPoint } from './sim-mutation-store.ts'
import { SimNetwork } from './sim-network.ts'
import { SimRows } from './sim-rows.ts'
import { SimServer } from './sim-server.ts'
import type { Tally } from './tally.ts'
import { JumpingClock } from './jumping-clock.ts'
import { VirtualClock } from './virtual-clock.ts'

let shared: Catalog | null = null

/** The catalog takes 40 ms to build and never changes. */
function catalogOf(): Catalog {
  return (shared ??= loadCatalog())
}

/** The tables as the version before had them: two columns fewer, and one table. */
function olderSchema(schema: Schema): Schema {
  const { memoryTags: _, ...rest } = schema
  const { tasks } = rest
  if (tasks === undefined) throw new Error('The schema has no tasks.')
  const { description: _d, metadata: _m, ...columns } = tasks.columns
  return { ...rest, tasks: { ...tasks, columns } }
}

/** What of a plan the world is made by. */
type WorldPlan = Pick<Plan, 'seed' | 'olderApp' | 'browser'>

/** Tabs of the device that is a browser. */
const tabsOfBrowser = 3

/**
 * One organization with two users, their team and an agent on four devices; an open project, a private one, and one
 * that the team is in; and a server that can die.
 */
export class World {
  readonly tally: Tally
  readonly schema: Schema
  readonly clock = new VirtualClock()
  /** Of the server and its database: it jumps. */
  readonly serverClock = new JumpingClock(this.clock)
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
  /** Chance that the server dies at a commit; zero while and after the weather is calm. */
  deathChance = 0
  readonly #deaths: Dice
  /** How long a server stays down. */
  readonly #downtimes: Dice

  private constructor({ seed, olderApp, browser }: WorldPlan, tally: Tally) {
    const catalog = catalogOf()
    const fates = new Fates(seed)
    this.tally = tally
    this.schema = catalog.schema
    if (olderApp !== undefined) tally.add('app of an older version')
    if (browser !== undefined) tally.add('tabs of a browser')
    this.#deaths = fates.dice('deaths')
    this.#downtimes = fates.dice('downtimes')
    this.newId = createUuidSource(this.clock, fates.of('world ids'))
    const latencies = fates.dice('latencies')
    const latency = (): Promise<void> => this.clock.sleep(1 + latencies.next() * 4)
    this.database = new SimDatabase(catalog, this.serverClock, this.newId(), latency)
    this.server = new SimServer({
      catalog,
      database: this.database,
      clock: this.serverClock,
      random: fates.of('server'),
      tally,
      latency,
      crashAt: () => this.#crashPoint(),
      died: () => this.crashServer(),
    })
    this.network = new SimNetwork({ clock: this.clock, fates, tally, accept: (end) => this.server.accept(end) })
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
    const tabDeaths = fates.dice('tab deaths')
    const owners = {
      'ada-desk': this.people.ada,
      'ada-phone': this.people.ada,
      'ben-desk': this.people.ben,
      scout: this.people.scout,
    }
    this.clients = deviceNames.map(
      (name) =>
        new SimClient({
          name,
          principal: owners[name],
          schema: name === olderApp ? olderSchema(catalog.schema) : catalog.schema,
          clock: this.clock,
          fates,
          transport: this.network.transportOf(name),
          token: () => this.#signIn(name, owners[name]),
          tabs: name === browser ? tabsOfBrowser : 1,
          lastCommit: () => (name === browser ? this.#lastCommit(tabDeaths) : 'none'),
        }),
    )
  }

  static async create(plan: WorldPlan, tally: Tally): Promise<World> {
    const world = new World(plan, tally)
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
    const isMember = member?.['deletedAt'] === null
    if (!isMember) this.tally.add('access given back')
    this.foreignWrite('project_members', id, { deletedAt: isMember ? new Date(this.clock.now()).toISOString() : null })
  }

  crashServer(): void {
    this.tally.add('server crashed')
    this.server.crash()
    this.network.breakAll()
    this.clock.after(50 + this.#downtimes.next() * 500, () => void this.server.start())
  }

  async #signIn(name: string, principal: Principal): Promise<string> {
    await this.clock.sleep(5)
    if (this.network.isPartitioned(name)) throw new Error('Nobody who gives out tokens can be reached.')
    return this.server.issueToken(principal)
  }

  pruneLog(dice: Dice): void {
    this.tally.add('log pruned')
    this.database.prune(dice.below(60))
  }

  /** By up to twelve hours, either way. */
  jumpClock(dice: Dice): void {
    this.tally.add('server clock jumped')
    this.serverClock.jump((dice.next() - 0.5) * 24 * 3_600_000)
  }

  /** For good, unless an older copy of the database knows nothing of it. */
  revokeDevice(name: string): void {
    const device = this.clients.find((client) => client.name === name)
    const id = device?.tide?.status.device.id
    if (device === undefined || id === undefined || id === null) return
    this.tally.add('device revoked')
    device.wasRevoked = true
    this.foreignWrite('devices', id, {
      name,
      userId: device.principal.id,
      revokedAt: new Date(this.serverClock.now()).toISOString(),
    })
  }

  isRevoked({ tide }: SimClient): boolean {
    const id = tide?.status.device.id ?? null
    return id !== null && this.database.isRevoked(id)
  }

  backUp(): void {
    this.#backups.push(this.server.backUp())
    if (this.#backups.length > 3) this.#backups.shift()
  }

  /**
   * The server dies, and starts again on an older copy of its database: what was committed since is gone, and nobody is
   * told.
   */
  restore(dice: Dice): void {
    const backup = dice.pick(this.#backups)
    if (backup === undefined) return
    this.crashServer()
    backup()
    this.database.startAnew(this.newId())
    this.restored += 1
    this.tally.add('database restored')
    // Where the new history has grown past the old one before a device is back, positions alone tell it nothing.
    if (dice.chance(0.5)) this.#grow(dice)
  }

  #grow(dice: Dice): void {
    for (let number = dice.below(60); number > 0; number--) {
      const task = dice.pick(this.database.rows.all('tasks'))
      if (task !== undefined) this.foreignWrite('tasks', String(task['id']), { title: `Of a new history ${number}` })
    }
  }

  /** The database is started anew, on nothing but itself. The server may live through it. */
  restartDatabase(dice: Dice): void {
    this.tally.add('database restarted')
    if (dice.chance(0.5)) this.crashServer()
    this.database.startAnew(this.newId())
  }

  #crashPoint(): CrashPoint {
    const [dies, before] = [this.#deaths.chance(this.deathChance), this.#deaths.chance(0.5)]
    return !dies ? 'none' : before ? 'before_commit' : 'after_commit'
  }

  /** As often as servers die: never while and after the weather is calm. */
  #lastCommit(deaths: Dice): LastCommit {
    const [dies, done] = [deaths.chance(this.deathChance), deaths.chance(0.5)]
    if (!dies) return 'none'
    this.tally.add(done ? 'tab died after a commit' : 'tab died before a commit')
    return done ? 'done' : 'undone'
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
