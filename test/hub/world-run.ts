// One run of random statements by several connections at once, while replicas follow whatever they may, come, go and
// change what they follow. Every state that a replica ever held is compared with what a plain look at the tables
// would have shown to its owner at that position: no row less, none more, all columns.
import { expect } from 'vitest'
import type { Random } from '../../lib/random.ts'
import { shippedSchema } from '../../client-sdk/schema.generated.ts'
import type { Subscription } from '../../protocol/messages/subscription.ts'
import type { Schema, TableDescriptor } from '../../protocol/rows/table.ts'
import type { Database } from '../../server/db/db.ts'
import type { Hub } from '../../server/hub/hub.ts'
import { newId } from '../support/fixtures.ts'
import { seedWorld, worldTables, type World } from './world.ts'
import { checkAll, differenceOf, noDifference, type Difference } from './world-check.ts'
import { History, readTables, readUnlogged } from './world-history.ts'
import { WorldReplica } from './world-replica.ts'
import { createWorldIds, WorldWriter } from './world-writer.ts'
import { WriterConnection, type SynchronousCommit } from './writer-connection.ts'
import type { StoredMoment } from './watched-store.ts'

const schema: Schema = Object.fromEntries(
  Object.entries<TableDescriptor>(shippedSchema).filter(([, { name }]) =>
    (worldTables as readonly string[]).includes(name),
  ),
)

export interface WorldOptions {
  readonly database: Database
  readonly url: string
  /** Replicas come to one of them, each time they connect. */
  readonly hubs: readonly Hub[]
  readonly random: Random
  /** With triggers a prepared transaction holds the lock of the log: nobody else can commit until it has ended. */
  readonly mayLeavePrepared: boolean
  readonly operations?: number
  /** What befalls the servers, about five times in a run. */
  readonly disturb?: () => Promise<unknown>
}

/** What a run came to see. */
export interface WorldReport {
  /** States of replicas that were compared. */
  readonly states: number
  /** How often each thing was done. */
  readonly done: ReadonlyMap<string, number>
  readonly refusals: number
  /** How often a replica had to load everything anew; only who lost guests by TRUNCATE must. */
  readonly reloads: number
}

/** Throws at the first state of a replica that is not what its owner might see at its position. */
export async function runWorld(options: WorldOptions): Promise<WorldReport> {
  const { database, url, hubs, random, mayLeavePrepared, operations = 500, disturb } = options
  const world = await seedWorld(database.pool)
  const ids = createWorldIds()
  const writers: WorldWriter[] = []
  for (const name of ['a', 'b', 'c', 'd']) {
    const connection = new WriterConnection(`${name}${Math.floor(random.next() * 1e9)}`, url)
    await connection.connect()
    writers.push(new WorldWriter(connection, { world, ids, random }))
  }
  const replicas: WorldReplica[] = []
  for (const principal of world.principals) replicas.push(await WorldReplica.open(principal, schema))
  try {
    const actor = new Actor({ world, writers, replicas, hubs, random, mayLeavePrepared, disturb })
    await actor.begin()
    for (let operation = 0; operation < operations; operation++) await actor.act()
    await actor.finish()
    await expect.poll(() => readUnlogged(database.pool), { timeout: 60_000 }).toEqual([])
    const last = await readTables(database.pool, world.organizationId)
    for (const replica of replicas)
      await expect
        .poll(() => actor.arrive(replica, (moment) => differenceOf(moment, world, last, replica.principal)), {
          timeout: 60_000,
          interval: 20,
        })
        .toEqual(noDifference)
    const history = await History.read(database.pool, world.organizationId)
    checkAll(history, world, replicas)
    expect(history.end, 'the history ends with the tables').toEqual(last)
    const states = replicas.reduce((sum, { moments }) => sum + moments.length, 0)
    return { states, ...actor.report }
  } finally {
    for (const replica of replicas) await replica.disconnect()
    for (const writer of writers) {
      if (writer.state === 'prepared') await writer.resolve('rollback').catch(() => undefined)
      await writer.end()
    }
  }
}

interface Cast extends Pick<WorldOptions, 'hubs' | 'random' | 'mayLeavePrepared'> {
  readonly disturb: WorldOptions['disturb']
  readonly world: World
  readonly writers: readonly WorldWriter[]
  readonly replicas: readonly WorldReplica[]
}

class Actor {
  readonly #cast: Cast

  constructor(cast: Cast) {
    this.#cast = cast
  }

  get report(): Omit<WorldReport, 'states'> {
    const { writers, replicas } = this.#cast
    const done = new Map<string, number>()
    for (const writer of writers) for (const [name, times] of writer.done) done.set(name, (done.get(name) ?? 0) + times)
    const sum = (count: (replica: WorldReplica) => number): number =>
      replicas.reduce((all, replica) => all + count(replica), 0)
    return { done, refusals: sum(({ refusals }) => refusals), reloads: sum(({ reloads }) => reloads) }
  }

  /** Everybody comes in with something to lose. */
  async begin(): Promise<void> {
    for (const replica of this.#cast.replicas) {
      for (let number = 0; number < 3; number++) await this.#follow(replica)
      await this.#connect(replica)
    }
  }

  async act(): Promise<void> {
    const { writers, replicas } = this.#cast
    const { disturb } = this.#cast
    // Without one the runs of a seed stay what they are.
    if (disturb && this.#chance(0.01)) return void (await disturb())
    const roll = this.#cast.random.next()
    const [writer, replica] = [this.#pick(writers), this.#pick(replicas)]
    if (!writer || !replica) return
    if (roll < 0.72) return this.#write(writer)
    if (roll < 0.76) {
      // All at once.
      const open = writers.filter(({ state }) => state === 'open')
      await Promise.all(open.map((one) => one.commit()))
      return
    }
    if (roll < 0.86) return this.#follow(replica)
    if (roll < 0.89) return replica.disconnect()
    await this.#connect(replica)
  }

  /** Ends what is open. */
  async finish(): Promise<void> {
    for (const writer of this.#cast.writers) {
      if (writer.state === 'prepared') await writer.resolve('commit')
      if (writer.state === 'open') await writer.commit()
    }
  }

  /** What it lacks yet. Who has no access hears nothing more. */
  async arrive(replica: WorldReplica, check: (moment: StoredMoment | undefined) => Difference): Promise<Difference> {
    for (const failure of replica.failures) throw failure
    const [hub] = this.#cast.hubs
    if (hub && !replica.isConnected && !(await replica.connect(hub))) return noDifference
    const fetched = replica.subscriptions
      .filter(({ state }) => state !== 'held')
      .map(({ subscription }) => subscription.id)
    if (fetched.length > 0) return { ...noDifference, missing: fetched }
    return check(replica.moments.at(-1))
  }

  async #write(writer: WorldWriter): Promise<void> {
    if (writer.state === 'idle') {
      const levels: readonly SynchronousCommit[] = ['on', 'off', 'local']
      return writer.begin(this.#pick(levels) ?? 'on')
    }
    if (writer.state === 'prepared') return this.#chance(0.4) ? this.#resolve(writer) : undefined
    const roll = this.#cast.random.next()
    if (roll < 0.6) return writer.write()
    if (roll < 0.66) return writer.savepoint()
    if (roll < 0.72) return writer.endSavepoint(this.#chance(0.5) ? 'release' : 'rollback to')
    if (roll < 0.75) return writer.rollback()
    if (roll > 0.8) return writer.commit()
    await writer.prepare()
    if (!this.#cast.mayLeavePrepared) await this.#resolve(writer)
  }

  async #resolve(writer: WorldWriter): Promise<void> {
    if (writer.state === 'prepared') await writer.resolve(this.#chance(0.7) ? 'commit' : 'rollback')
  }

  async #follow(replica: WorldReplica): Promise<void> {
    const known = this.#pick(replica.subscriptions)
    if (known && this.#chance(replica.subscriptions.length > 4 ? 0.6 : 0.2))
      return replica.unsubscribe(known.subscription.id)
    const channel = this.#pick(this.#cast.world.channels) ?? ''
    const narrow = this.#chance(0.2) ? { where: { tasks: { title: { like: '%a%' } } } } : {}
    const subscription: Subscription = { id: newId(), channel, tables: [...worldTables], embeddings: false, ...narrow }
    await replica.subscribe(subscription)
  }

  async #connect(replica: WorldReplica): Promise<void> {
    const hub = this.#pick(this.#cast.hubs)
    if (hub && (!replica.isConnected || this.#chance(0.2))) await replica.connect(hub)
  }

  #chance(part: number): boolean {
    return this.#cast.random.next() < part
  }

  #pick<T>(items: readonly T[]): T | undefined {
    return items[Math.floor(this.#cast.random.next() * items.length)]
  }
}
