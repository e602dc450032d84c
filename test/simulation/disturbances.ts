import type { Dice } from './dice.ts'
import type { World } from './world.ts'

/** Something that happens around the devices: another service, an administrator, the weather, a power cut. */
type Disturbance = (world: World, dice: Dice) => Promise<void> | void

const someDevice = (world: World, dice: Dice) => dice.pick(world.clients)

const partition: Disturbance = (world, dice) => {
  const device = someDevice(world, dice)
  if (device === undefined) return
  world.network.partition(device.name)
  world.tally.add('partition')
  world.clock.after(dice.next() * 5000, () => world.network.heal(device.name))
}

const crashDevice: Disturbance = async (world, dice) => {
  const device = someDevice(world, dice)
  if (device === undefined) return
  world.tally.add('client crashed')
  if ((device.tide?.status.pending ?? 0) > 0) world.tally.add('client crashed with writes')
  device.crash()
  await world.clock.sleep(dice.next() * 1000)
  await device.open()
}

/** Somebody puts the present version of the app on the device that has an older one, whatever waits there. */
const updateApp: Disturbance = async (world, dice) => {
  const device = world.clients.find(({ schema }) => schema !== world.schema)
  if (device === undefined) return
  device.crash()
  const { subscriptions, outbox } = await device.store.load()
  if (outbox.some(({ status }) => status === 'local' || status === 'syncing'))
    world.tally.add('app updated with writes')
  if (subscriptions.some(({ state }) => state === 'staging')) world.tally.add('app updated while loading')
  await device.update(world.schema)
  await world.clock.sleep(dice.next() * 1000)
  await device.open()
}

/** A tab of the browser, open or not. */
const someTab = (world: World, dice: Dice) =>
  dice.pick(world.clients.find(({ isBrowser }) => isBrowser)?.processes ?? [])

const leaveTab =
  (how: 'close' | 'crash'): Disturbance =>
  async (world, dice) => {
    const tab = someTab(world, dice)
    if (tab === undefined || tab.tide === null) return
    world.tally.add(how === 'close' ? 'tab closed' : 'tab crashed')
    if (tab.leads) world.tally.add('tab that leads went away')
    await tab[how]()
    await world.clock.sleep(dice.next() * 2000)
    await tab.open()
  }

const foreignWrite: Disturbance = (world, dice) => {
  const task = dice.pick(world.database.rows.all('tasks'))
  if (task !== undefined)
    world.foreignWrite('tasks', String(task['id']), { title: 'By another service', priority: 'critical' })
}

const disturbances: Readonly<Record<string, { readonly weight: number; readonly happen: Disturbance }>> = {
  partition: { weight: 20, happen: partition },
  crashDevice: { weight: 15, happen: crashDevice },
  crashServer: { weight: 10, happen: (world) => world.crashServer() },
  disconnect: { weight: 10, happen: (world, dice) => someDevice(world, dice)?.tide?.disconnect() },
  connect: { weight: 10, happen: (world, dice) => someDevice(world, dice)?.tide?.connect() },
  changeAccess: {
    weight: 10,
    happen: (world, dice) => world.toggleMembership(dice.chance(0.5) ? world.benMembership : world.teamMembership),
  },
  restore: { weight: 5, happen: (world, dice) => world.restore(dice) },
  restartDatabase: { weight: 5, happen: (world, dice) => world.restartDatabase(dice) },
  foreignWrite: { weight: 15, happen: foreignWrite },
  pruneLog: { weight: 6, happen: (world, dice) => world.pruneLog(dice) },
  jumpClock: { weight: 5, happen: (world, dice) => world.jumpClock(dice) },
  revokeDevice: { weight: 1, happen: (world) => world.revokeDevice('ada-phone') },
  // Asked for at its own pace.
  backUp: { weight: 0, happen: (world) => world.backUp() },
  updateApp: { weight: 0, happen: updateApp },
  closeTab: { weight: 0, happen: leaveTab('close') },
  crashTab: { weight: 0, happen: leaveTab('crash') },
}

/** As often as they happen. */
export const disturbanceNames: readonly string[] = Object.entries(disturbances).flatMap(([name, { weight }]) =>
  Array.from({ length: weight }, () => name),
)

/** What else happens where a device is a browser. */
export const tabDisturbanceNames: readonly string[] = ['closeTab', 'crashTab']

export async function disturb(world: World, what: string, dice: Dice): Promise<void> {
  const found = disturbances[what]
  if (found === undefined) throw new Error(`A plan has a disturbance "${what}", and there is none of this name.`)
  await found.happen(world, dice)
}
