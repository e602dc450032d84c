import type { Client } from '../../client-sdk/client.ts'
import { act } from './acts.ts'
import { differencesAtCursor, differencesAtRest, differencesShown, ledgerDifferences } from './checks.ts'
import { Diary } from './diary.ts'
import { Dice } from './dice.ts'
import { disturb } from './disturbances.ts'
import type { Journal } from './journal.ts'
import type { Plan, Step } from './plan.ts'
import type { SimClient } from './sim-client.ts'
import { calm } from './sim-network.ts'
import type { Cursor } from '../../protocol/seq.ts'
import { TideError } from '../../protocol/error.ts'
import { seededRandom } from '../../lib/random.ts'
import { Tally } from './tally.ts'
import { World } from './world.ts'

/** Virtual milliseconds that everything may take to come to rest after the storm. */
const restMs = 120_000
/** Virtual milliseconds between two looks at whether a device holds a state of the server. */
const lookMs = 600

/** How a run went: what is wrong (empty: nothing), and what happened in it. */
export interface Report {
  readonly problems: readonly string[]
  readonly tally: Tally
}

/**
 * One whole life of a fleet: devices work while the network, the server and the devices themselves fail; then the
 * weather clears, and everything must come to rest and be equal.
 */
export async function runFleet(plan: Plan): Promise<Report> {
  const tally = new Tally()
  const world = await World.create(plan, tally)
  const journal: Journal = { problems: [] }
  const diaries = new Map<SimClient, Diary>()
  for (const device of world.clients) {
    const diary = new Diary(world, device, journal)
    device.onOpen = (tide) => diary.watch(tide)
    diaries.set(device, diary)
  }
  await openAll(world, journal)
  for (const device of world.clients) void followOnce(world, device, journal)
  world.network.weather = plan.weather
  world.deathChance = plan.deathChance
  const start = world.clock.monotonic()
  for (const step of plan.steps)
    world.clock.after(step[0] - (world.clock.monotonic() - start), () => {
      perform(world, step, diaries, journal).catch((error: unknown) => journal.problems.push(String(error)))
    })
  const acknowledged = new Map<SimClient, Set<string>>(world.clients.map((device) => [device, new Set()]))
  const cursors = new Map<string, number>()
  let isStormy = true
  const look = async (turn: number): Promise<void> => {
    if (!isStormy) return
    world.clock.after(lookMs, () => void look(turn + 1))
    const device = world.clients[turn % world.clients.length]
    if (device === undefined) return
    journal.problems.push(...(await differencesAtCursor(world, device)))
    const { meta, outbox } = await device.store.load()
    journal.problems.push(...backwards(device, meta.cursor, cursors))
    for (const entry of outbox)
      if (entry.outcome !== null && entry.outcome.kind !== 'rejected') acknowledged.get(device)?.add(entry.mutation.id)
  }
  void look(0)
  await world.clock.run(plan.stormMs, () => journal.problems.length > 0)
  isStormy = false
  if (journal.problems.length > 0) return { problems: journal.problems, tally }
  const problems = [...(await calmDown(world, journal)), ...(await examine(world, journal, acknowledged))]
  for (const diary of diaries.values()) problems.push(...diary.differencesAtRest())
  return { problems, tally }
}

/** Tabs open while time passes. */
async function openAll(world: World, journal: Journal): Promise<void> {
  for (const device of world.clients)
    device.open().catch((error: unknown) => journal.problems.push(`${device.name} cannot open: ${String(error)}`))
  if (!(await world.clock.run(10_000, () => world.clients.every(({ isWholeOpen }) => isWholeOpen))))
    journal.problems.push('not all clients open')
}

/** Within one epoch a replica never goes back (promise 2). */
function backwards({ name }: SimClient, cursor: Cursor | null, seen: Map<string, number>): readonly string[] {
  // Zero: it was told to fetch everything anew, and does not hold anything of before.
  if (cursor === null || cursor.seq === 0) return []
  const key = `${name} ${cursor.epoch}`
  const before = seen.get(key) ?? 0
  seen.set(key, cursor.seq)
  return cursor.seq < before ? [`${name} went back from ${before} to ${cursor.seq}`] : []
}

async function perform(
  world: World,
  [, who, what, seed]: Step,
  diaries: ReadonlyMap<SimClient, Diary>,
  journal: Journal,
): Promise<void> {
  const dice = new Dice(seededRandom(seed))
  if (who === 'world') return disturb(world, what, dice)
  const device = world.clients.find(({ name }) => name === who)
  if (device === undefined) throw new Error(`A plan has a device "${who}", and there is none of this name.`)
  const [first, ...others] = device.tides
  if (first === undefined) return
  // Of tabs any one; who has no others draws nothing, so that kept plans pick what they picked.
  const tide = others.length === 0 ? first : (dice.pick(device.tides) ?? first)
  if (others.length > 0 && device.processes.some((tab) => tab.tide === tide && !tab.leads))
    world.tally.add('write made in a tab that follows')
  if (what === 'writeDiary') return diaries.get(device)?.write(tide)
  await act({ world, device, tide, dice }, what, journal)
}

/** The weather clears, and everything has the time to come to rest. */
async function calmDown(world: World, journal: Journal): Promise<readonly string[]> {
  world.deathChance = 0
  world.network.healAll()
  world.network.weather = calm
  await openAll(world, journal)
  for (const { tides } of world.clients) for (const tide of tides) tide.connect()
  // A device that was revoked is told so, and never comes to rest.
  const isAtRest = (): boolean =>
    world.clients.every((device) => {
      const { tides, isWholeOpen } = device
      if (world.isRevoked(device)) return tides.every(({ status }) => status.connection === 'stopped')
      return (
        isWholeOpen &&
        tides.every(
          ({ status: { pending, connection, channels } }) =>
            pending === 0 &&
            connection === 'live' &&
            channels.every(({ state }) => state === 'live' || state === 'revoked'),
        )
      )
    })
  await world.clock.run(restMs, isAtRest)
  // Whatever was committed last still has to reach everybody; and a start of the database ends sessions a moment after
  // it.
  await world.clock.run(5000)
  if (await world.clock.run(restMs, isAtRest)) return []
  const states = world.clients.map(({ name, tides }) => `${name} ${JSON.stringify(tides.map(({ status }) => status))}`)
  return [`the fleet does not come to rest: ${states.join('; ')}`]
}

async function examine(
  world: World,
  journal: Journal,
  acknowledged: ReadonlyMap<SimClient, ReadonlySet<string>>,
): Promise<readonly string[]> {
  const problems = [...journal.problems, ...world.server.errors.map((error) => `server: ${error}`)]
  for (const device of world.clients) {
    if (world.isRevoked(device)) {
      problems.push(...(await differencesAtCursor(world, device)))
      continue
    }
    problems.push(...(await differencesAtRest(world, device, acknowledged.get(device) ?? new Set())))
    problems.push(...(await inTime(world, `${device.name} answers no reads`, differencesShown(world, device))))
  }
  problems.push(...(await verifyAll(world)))
  return [...problems, ...ledgerDifferences(world)]
}

/** What each replica itself finds when it compares with the server: nothing, now that it was found equal. */
async function verifyAll(world: World): Promise<readonly string[]> {
  const problems: string[] = []
  const admitted = world.clients
    .filter((device) => !world.isRevoked(device))
    .flatMap(({ name, tides }) => tides.map((tide) => ({ name, tide })))
  let waiting = admitted.length
  for (const { name, tide } of admitted)
    void tide
      .verify()
      .then((found) => {
        if (!found.equal) problems.push(`${name} finds differences that are none: ${JSON.stringify(found.repaired)}`)
      })
      .catch((error: unknown) => problems.push(`${name} cannot verify: ${String(error)}`))
      .finally(() => (waiting -= 1))
  if (!(await world.clock.run(restMs, () => waiting === 0))) problems.push('verifying does not end')
  return problems
}

/** Reads of a tab are answered while time passes. */
async function inTime(world: World, late: string, work: Promise<readonly string[]>): Promise<readonly string[]> {
  let found: readonly string[] | null = null
  void work.then((problems) => {
    found = problems
  })
  await world.clock.run(restMs, () => found !== null)
  return found ?? [late]
}

/**
 * Subscriptions are the replica's and outlive it, so each device asks in its first life. Every tab asks, as every page
 * of an app does when it opens: one that dies while it asks has asked for nothing. Until one was answered, later ones
 * ask too.
 */
async function followOnce(world: World, device: SimClient, journal: Journal): Promise<void> {
  const { onOpen } = device
  let isFollowing = false
  const ask = async (tide: Client): Promise<void> => {
    if (isFollowing) return
    await follow(world, device, tide, journal)
    isFollowing = true
  }
  device.onOpen = (tide) => {
    onOpen(tide)
    void ask(tide)
  }
  await Promise.all(device.tides.map(ask))
}

async function follow(world: World, device: SimClient, tide: Client, journal: Journal): Promise<void> {
  try {
    await tide.subscribe(
      { project: world.projects.open },
      device.name === 'scout' ? { where: { tasks: { priority: { in: ['medium', 'high', 'critical'] } } } } : {},
    )
    if (device.principal.kind === 'user') {
      await tide.subscribe({ team: world.team })
      // One who is a guest of the private projects by two channels, and follows neither, tells them apart nevertheless.
      if (device.name !== 'ada-phone') await tide.subscribe({ project: world.projects.secret })
    }
    await tide.subscribe({ organization: true })
  } catch (error) {
    if (error instanceof TideError && error.code === 'closed') return
    journal.problems.push(`${device.name} cannot subscribe: ${String(error)}`)
  }
}
