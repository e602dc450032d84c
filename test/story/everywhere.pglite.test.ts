// Devices write to every table while they are offline, come back in any order, and end equal; and nothing that they
// were sent is for the server alone.
import type { Client } from '@tidewire/client'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { createClient } from '../../client-sdk/client.ts'
import { pageBlocks } from '../../client-sdk/connection/page-blocks.ts'
import { createSocketTransport } from '../../client-sdk/connection/socket-transport.ts'
import type { Transport } from '../../client-sdk/connection/transport.ts'
import { createMemoryStore } from '../../client-sdk/store/memory-store.ts'
import type { Table } from '../../client-sdk/tables/table.ts'
import { systemClock } from '../../lib/clock.ts'
import { seededRandom, systemRandom, type Random } from '../../lib/random.ts'
import { blocksOf } from '../../protocol/block-frame.ts'
import { parseDown } from '../../protocol/parse.ts'
import type { PackedBlock } from '../../protocol/rows/block.ts'
import { rowId, type Patch, type Row } from '../../protocol/rows/row.ts'
import { toProperty, type TableDescriptor } from '../../protocol/rows/table.ts'
import { changeable, isSoftDeleted, isWritable, mayWrite, otherValue } from '../mutation/rules-oracle.ts'
import { RulesWorld, type Part, type Place } from '../mutation/rules-world.ts'
import { catalog, newId } from '../mutation/world.ts'
import { insertRow } from '../../server/db/insert-row.ts'
import { readSchemaPage, type DocTable } from '../support/schema-notation.ts'
import { startTestServer, type TestServer } from '../support/server.ts'

const { tables } = readSchemaPage()
/** Who writes; the first who may. */
const writers = ['owner', 'self', 'agent'] as const
const places = ['project', 'organization', 'team', 'user', 'agent'] as const
/** Of the orders in which devices come back, and of how they settle what they disagree about. */
const seeds = [41, 42, 43]
/** The server alone makes a row of these; devices change them (`writeGiven`). */
const isGiven = ({ name, scope }: DocTable): boolean => scope.endsWith('(id)') || name === 'organization_members'

let home: TestServer
let world: RulesWorld
const frames: Uint8Array[] = []
/** Users of the organization who have no devices. */
const spares = new Set<string>()

/** Two devices change one each, and let one go, for each seed. */
async function addSpares(): Promise<void> {
  const { pool } = home.server.database
  for (let n = 0; n < 4 * seeds.length; n++) {
    const userId = newId()
    spares.add(userId)
    await insertRow(pool, 'users', { id: userId, email: `${userId}@example.com` })
    await insertRow(pool, 'organization_members', { organization_id: world.organization, user_id: userId })
  }
}

beforeAll(async () => {
  home = await startTestServer()
  world = await RulesWorld.create(home.server.database.pool, tables)
  await addSpares()
})
afterAll(() => home.close())

interface Device {
  readonly part: Part
  readonly tide: Client
}

/**
 * What a device is sent goes here as well. While `isDeaf`, the device hears of no commit and no outcome: they are lost
 * with the connection.
 */
function recording(transport: Transport, isDeaf: () => boolean): Transport {
  return {
    open: (listener) =>
      transport.open({
        opened: () => listener.opened(),
        received: (frame) => {
          frames.push(frame)
          if (!(isDeaf() && ['batch', 'outcomes'].includes(parseDown(frame).message.type))) listener.received(frame)
        },
        closed: (reason) => listener.closed(reason),
      }),
  }
}

async function open(part: (typeof writers)[number], name: string, isDeaf = () => false): Promise<Device> {
  const { principal } = world.device(part)
  const token = await home.tokenOf({ kind: principal.kind, id: principal.id, organizationId: world.organization })
  const client = await createClient({
    schema: catalog.schema,
    transport: recording(createSocketTransport(home.url), isDeaf),
    clock: systemClock,
    random: systemRandom,
    token: () => Promise.resolve(token),
    device: { name, kind: 'cli' },
    store: createMemoryStore(catalog.schema),
  })
  // The catalog's schema is the shipped one.
  return { part, tide: client as unknown as Client }
}

/** The handle of a table by SQL name; what it takes is known only here. */
function handle({ tide }: Device, table: DocTable): Table<TableDescriptor> {
  return (tide as unknown as Record<string, Table<TableDescriptor>>)[toProperty(table.name)] ?? fail(table.name)
}

function fail(what: string): never {
  throw new Error(`There is no ${what}.`)
}

async function placeOf(table: DocTable): Promise<{ readonly part: Part; readonly place: Place } | undefined> {
  for (const part of writers)
    for (const place of places) {
      if (!world.placesOf(table).includes(place)) continue
      const row = await world.values(table, place)
      if (mayWrite(world, table, place, part, row)) return { part, place }
    }
  return undefined
}

/**
 * Changes what devices find and never make: their organization, its members, who is one and who is one no more, and
 * their account.
 */
async function writeGiven(device: Device): Promise<void> {
  const { tide, part } = device
  if (part === 'self') await tide.users.update(world.idOf('self'), { name: newId() })
  if (part !== 'owner') return
  await tide.organizations.update(world.organization, { name: newId() })
  const [changed, leaves] = (await tide.organizationMembers.find({ where: { role: 'member' } })).filter(({ userId }) =>
    spares.has(userId),
  )
  if (changed === undefined || leaves === undefined) throw new Error('Too few members are left.')
  await tide.organizationMembers.update(changed.id, { role: 'viewer' })
  await tide.organizationMembers.delete(leaves.id)
}

/** Settles, by turns for the device and for the server, what one of its user's devices has lost. */
async function settle(devices: readonly Device[], random: Random): Promise<number> {
  let settled = 0
  for (const part of writers) {
    const own = devices.filter((device) => device.part === part)
    const [any] = own
    const open = (await any?.tide.conflicts.find({ where: { status: 'open' } })) ?? []
    for (const conflict of open.filter(({ actor }) => actor?.id === world.idOf(part))) {
      const choice = conflict.kind === 'transition' || random.next() < 0.5 ? 'server' : 'client'
      await own[settled % own.length]?.tide.conflicts.resolve(conflict.id, choice)
      settled++
    }
  }
  return settled
}

/** Makes a row and changes it, changes one that others change too, and makes and deletes another. */
async function write(device: Device, table: DocTable, place: Place, shared: string): Promise<void> {
  const of = handle(device, table)
  const make = async (): Promise<string> => {
    const values = world.wire(table, await world.values(table, place))
    return rowId(await of.insert(values))
  }
  const id = await make()
  const column = changeable(table)
  if (column !== undefined) {
    const set = (): Patch => ({ [toProperty(column.name)]: otherValue(column) })
    await of.update(id, set())
    // Where the table has one row for each of another kind, that row may be out of this device's reach.
    if ((await of.get(shared)) !== undefined) await of.update(shared, set())
  }
  if (isSoftDeleted(table)) await of.delete(await make())
}

/** Silent columns come with a row when something else in it changes: each device has what they were then. */
const isTold = (table: string, name: string): boolean =>
  name !== '$sync' && catalog.synced.get(table)?.descriptor.columns[name]?.class !== 'silent'

/** Reconnects in the order of the seed, until nobody has anything to send and everybody has all. */
async function comeBack(devices: readonly Device[], random: Random): Promise<void> {
  const order = devices.map((device) => ({ device, place: random.next() })).toSorted((a, b) => a.place - b.place)
  for (const { device } of order) device.tide.connect()
  await Promise.all(devices.map(({ tide }) => tide.synced()))
  // What others wrote meanwhile may still be on its way: it comes before the answer.
  for (const { tide } of devices) expect(await tide.verify()).toEqual({ equal: true })
}

async function expectEqual(devices: readonly Device[]): Promise<void> {
  for (const { tide } of devices) {
    expect((await tide.writes.find({ status: 'rejected' })).map(({ table, outcome }) => [table, outcome])).toEqual([])
  }
  for (const part of writers) {
    const [one, other] = devices.filter((device) => device.part === part)
    if (one === undefined || other === undefined) throw new Error(`The ${part} has too few devices.`)
    for (const table of tables.filter(({ direction }) => direction === 'rw')) {
      const rows = await Promise.all(
        [one, other].map(async (device) =>
          (await handle(device, table).find({ withDeleted: true }))
            .map((row) => Object.fromEntries(Object.entries(row).filter(([name]) => isTold(table.name, name))) as Row)
            .toSorted((a, b) => (rowId(a) < rowId(b) ? -1 : 1)),
        ),
      )
      expect([table.name, rows[0]]).toEqual([table.name, rows[1]])
    }
  }
}

test('offline clients write to every table, reconnect in any order, and end equal to each other and to the server', async () => {
  const secret = 'a-secret-that-nobody-is-sent'
  const { pool } = home.server.database
  await insertRow(pool, 'user_credentials', { user_id: world.idOf('owner'), password_hash: `$argon2id$${secret}` })
  await pool.query(`update projects set description = 'seen-by-all' where organization_id = $1`, [world.organization])
  const devices = await Promise.all(
    writers.flatMap((part) => ['desk', 'phone'].map((name) => open(part, `${part}-${name}`))),
  )
  // Clients change conflicts by settling them.
  const writable = tables.filter((table) => isWritable(table) && table.direction === 'rw' && table.scope !== 'conflict')
  const plans = await Promise.all(
    writable
      .filter((table) => !isGiven(table))
      .map(async (table) => {
        const at = await placeOf(table)
        if (at === undefined) throw new Error(`Nobody of ${writers.join(', ')} may write to ${table.name}.`)
        return { table, ...at, shared: String((await world.row(table, at.place))['id']) }
      }),
  )
  const [{ id: project } = { id: '' }] = await world.query<{ id: string }>(
    `select project_id as id from project_members where user_id = $1 order by id limit 1`,
    [world.idOf('owner')],
  )
  const [{ id: team } = { id: '' }] = await world.query<{ id: string }>(
    `select team_id as id from team_memberships limit 1`,
  )
  for (const { tide, part } of devices) {
    const followed = await Promise.all([
      tide.subscribe({ organization: true }),
      tide.subscribe({ project }),
      tide.subscribe({ team }),
      tide.subscribe(part === 'agent' ? { agent: true } : { user: true }),
    ])
    await Promise.all(followed.map(({ ready }) => ready))
  }
  let settled = 0
  for (const seed of seeds) {
    const random = seededRandom(seed)
    for (const { tide } of devices) tide.disconnect()
    for (const { table, part, place, shared } of plans)
      for (const device of devices.filter((one) => one.part === part)) await write(device, table, place, shared)
    for (const device of devices) await writeGiven(device)
    for (const device of devices) expect(device.tide.status.pending).toBeGreaterThan(0)
    await comeBack(devices, random)
    for (const { tide } of devices) tide.disconnect()
    settled += await settle(devices, random)
    await comeBack(devices, random)
    await expectEqual(devices)
  }
  expect(settled).toBeGreaterThan(seeds.length)
  const sent = (await Promise.all(frames.map((frame) => blocksIn(frame)))).flat()
  for (const { block } of sent) {
    const known = Object.keys(catalog.synced.get(block.table)?.descriptor.columns ?? {})
    expect([block.table, block.columns.map(({ name }) => name).filter((name) => !known.includes(name))]).toEqual([
      block.table,
      [],
    ])
  }
  expect(new Set(sent.map(({ block }) => block.table)).size).toBeGreaterThan(writable.length)
  const bytes = [...frames, ...sent.flatMap(({ sections }) => sections)]
  expect(bytes.filter((part) => Buffer.from(part).includes(secret))).toEqual([])
  expect(bytes.some((part) => Buffer.from(part).includes('seen-by-all'))).toBe(true)
  await Promise.all(devices.map(({ tide }) => tide.close()))
}, 600_000)

/** Until a row that is followed is in this state. */
async function untilStatus(of: Table<TableDescriptor>, id: string, status: string): Promise<void> {
  for await (const [row] of of.live({ where: { id } })) if (row?.$sync.status === status) return
}

test('a task and a memory of an agent are local, syncing, synced and in conflict in this order, and a lost connection sends nothing twice with effect', async () => {
  let deaf = false
  const desk = await open('agent', 'desk-of-states', () => deaf)
  const phone = await open('agent', 'phone-of-states')
  const [{ id: projectId } = { id: '' }] = await world.query<{ id: string }>(
    `select project_id as id from project_members where agent_id = $1 limit 1`,
    [world.idOf('agent')],
  )
  for (const { tide } of [desk, phone]) {
    const followed = await Promise.all([tide.subscribe({ project: projectId }), tide.subscribe({ agent: true })])
    await Promise.all(followed.map(({ ready }) => ready))
  }
  desk.tide.disconnect()
  const scope = { scope: 'agent', agentId: world.idOf('agent') } as const
  const rows = [
    {
      name: 'tasks',
      column: 'title',
      id: (await desk.tide.tasks.insert({ projectId, title: 'Seen in each state' })).id,
    },
    {
      name: 'memories',
      column: 'title',
      id: (await desk.tide.memories.insert({ ...scope, content: 'Seen in each state' })).id,
    },
  ]
  const all = async (device: Device, status: string): Promise<void> => {
    await Promise.all(rows.map(({ name, id }) => untilStatus(handle(device, world.table(name)), id, status)))
  }
  const onServer = async (): Promise<unknown> =>
    Promise.all(rows.map(({ name, id }) => world.query(`select version from ${name} where id = $1`, [id])))
  await all(desk, 'local')
  // The server takes them, and its answer is lost.
  deaf = true
  desk.tide.connect()
  await all(phone, 'synced')
  await all(desk, 'syncing')
  desk.tide.disconnect()
  // What was sent may have been taken: it does not say `local` again.
  await all(desk, 'syncing')
  deaf = false
  desk.tide.connect()
  await all(desk, 'synced')
  expect(await onServer()).toEqual(rows.map(() => [{ version: 1 }]))

  for (const { tide } of [desk, phone]) tide.disconnect()
  for (const device of [desk, phone])
    for (const { name, id, column } of rows)
      await handle(device, world.table(name)).update(id, { [column]: `by ${device === desk ? 'desk' : 'phone'}` })
  phone.tide.connect()
  await phone.tide.synced()
  desk.tide.connect()
  await all(desk, 'conflict')
  for (const { id } of rows) {
    for await (const open of desk.tide.conflicts.live()) {
      const conflict = open.find(({ rowId: about }) => about === id)
      if (conflict === undefined) continue
      await desk.tide.conflicts.resolve(conflict.id, 'client')
      break
    }
  }
  await Promise.all([all(desk, 'synced'), desk.tide.synced()])
  await Promise.all([all(phone, 'synced'), phone.tide.synced()])
  expect(await onServer()).toEqual(rows.map(() => [{ version: 3 }]))
  await Promise.all([desk, phone].map(({ tide }) => tide.close()))
}, 240_000)

async function blocksIn(frame: Uint8Array): Promise<readonly PackedBlock[]> {
  const { message, sections } = parseDown(frame)
  if (message.type === 'page') return pageBlocks(message, sections)
  return 'blocks' in message ? blocksOf(message.blocks, sections) : []
}
