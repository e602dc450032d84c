import { act, disturb } from './workload.ts'
import { differencesAtCursor, differencesAtRest, ledgerDifferences } from './checks.ts'
import { Diary } from './diary.ts'
import type { Journal } from './journal.ts'
import type { SimClient } from './sim-client.ts'
import { calm, type NetworkWeather } from './sim-network.ts'
import { World } from './world.ts'

const storm: NetworkWeather = { minDelay: 1, maxDelay: 60, breakChance: 0.01, repeatChance: 0.03, swapChance: 0.02 }

/** Virtual milliseconds: how long the storm lasts, and how long everything may take to come to rest after it. */
const stormMs = 20_000
const restMs = 120_000

/**
 * One whole life of a fleet from one seed: devices work while the network, the server and the devices themselves fail;
 * then the weather clears, and everything must come to rest and be equal. Returns what is wrong; empty: nothing.
 * `tally` is filled with what happened, so that a run in which nothing happens cannot pass for a good one.
 */
export async function runFleet(seed: number, tally: Record<string, number> = {}): Promise<readonly string[]> {
  const world = await World.create(seed)
  const journal: Journal = { problems: [] }
  const diaries = new Map<SimClient, Diary>()
  const acknowledged = new Map<SimClient, Set<string>>(world.clients.map((device) => [device, new Set()]))
  for (const device of world.clients) {
    const diary = new Diary(world, device, journal)
    device.onOpen = (tide) => diary.watch(tide)
    await device.open()
    void follow(world, device, journal)
    diaries.set(device, diary)
  }
  world.network.weather = storm
  world.deathChance = 0.01
  let isStormy = true
  const loop = (everyMs: number, work: () => Promise<void>): void => {
    world.clock.after(world.random.next() * everyMs, () => {
      if (!isStormy) return
      void work()
      loop(everyMs, work)
    })
  }
  for (const device of world.clients) {
    loop(400, () => act(world, device, journal))
    loop(1500, async () => {
      if (device.tide !== null) await diaries.get(device)?.write(device.tide)
    })
  }
  loop(2500, () => disturb(world))
  loop(3000, () => Promise.resolve(world.backUp()))
  loop(700, async () => {
    const device = world.pick(world.clients)
    if (device === undefined) return
    journal.problems.push(...(await differencesAtCursor(world, device)))
    for (const entry of (await device.store.load()).outbox)
      if (entry.outcome !== null && entry.outcome.kind !== 'rejected') acknowledged.get(device)?.add(entry.mutation.id)
  })
  await world.clock.run(stormMs, () => journal.problems.length > 0)
  isStormy = false
  if (journal.problems.length > 0) return journal.problems

  world.deathChance = 0
  world.network.healAll()
  world.network.weather = calm
  for (const device of world.clients) {
    if (device.tide === null) await device.open()
    device.tide?.connect()
  }
  const isAtRest = (): boolean =>
    world.clients.every(
      ({ tide }) =>
        tide !== null &&
        tide.status.pending === 0 &&
        tide.status.connection === 'live' &&
        tide.status.channels.every(({ state }) => state === 'live' || state === 'revoked'),
    )
  await world.clock.run(restMs, isAtRest)
  // Whatever was committed last still has to reach everybody; and a start of the database ends sessions a moment after it.
  await world.clock.run(5000)
  const cameToRest = await world.clock.run(restMs, isAtRest)
  const problems = [...journal.problems, ...world.server.errors.map((error) => `server: ${error}`)]
  if (!cameToRest)
    problems.push(
      `the fleet does not come to rest: ${world.clients.map(({ name, tide }) => `${name} ${JSON.stringify(tide?.status)}`).join('; ')}`,
    )
  for (const device of world.clients)
    problems.push(...(await differencesAtRest(world, device, acknowledged.get(device) ?? new Set())))
  problems.push(...(await verifyAll(world)))
  tally['commits'] = world.database.head
  tally['restored'] = world.restored
  tally['conflictRows'] = world.database.rows.all('sync_conflicts').length
  for (const { kind, error } of world.server.store.outcomes()) {
    const name = error === undefined ? kind : `${kind} ${error.code}`
    tally[name] = (tally[name] ?? 0) + 1
  }
  return [...problems, ...ledgerDifferences(world)]
}

/** What each replica itself finds when it compares with the server: nothing, now that it was found equal. */
async function verifyAll(world: World): Promise<readonly string[]> {
  const problems: string[] = []
  let waiting = world.clients.length
  for (const { name, tide } of world.clients)
    void tide
      ?.verify()
      .then((found) => {
        if (!found.equal) problems.push(`${name} finds differences that are none: ${JSON.stringify(found.repaired)}`)
      })
      .catch((error: unknown) => problems.push(`${name} cannot verify: ${String(error)}`))
      .finally(() => (waiting -= 1))
  if (!(await world.clock.run(restMs, () => waiting === 0))) problems.push('verifying does not end')
  return problems
}

/** Subscriptions are the replica's and outlive it, so each device asks once in its first life. */
async function follow(world: World, device: SimClient, journal: Journal): Promise<void> {
  const { tide } = device
  if (tide === null) return
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
    journal.problems.push(`${device.name} cannot subscribe: ${String(error)}`)
  }
}
