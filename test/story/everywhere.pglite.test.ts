// Devices write to every table while they are offline, come back in any order, and end equal; and nothing that they were sent
// is for the server alone.
import type { Client } from '@tidewire/client'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { createClient } from '../../client-sdk/client.ts'
import { pageBlocks } from '../../client-sdk/connection/page-blocks.ts'
import { createSocketTransport } from '../../client-sdk/connection/socket-transport.ts'
import type { Transport } from '../../client-sdk/connection/transport.ts'
import { createMemoryStore } from '../../client-sdk/store/memory-store.ts'
import type { Table } from '../../client-sdk/tables/table.ts'
import { systemClock } from '../../lib/clock.ts'
import { seededRandom, systemRandom } from '../../lib/random.ts'
import { blocksOf } from '../../protocol/block-frame.ts'
import { parseDown } from '../../protocol/parse.ts'
import type { PackedBlock } from '../../protocol/rows/block.ts'
import { rowId, type Patch, type Row } from '../../protocol/rows/row.ts'
import { toProperty, type TableDescriptor } from '../../protocol/rows/table.ts'
import { changeable, isSoftDeleted, isWritable, mayWrite, otherValue } from '../mutation/rules-oracle.ts'
import { RulesWorld, type Part, type Place } from '../mutation/rules-world.ts'
import { catalog } from '../mutation/world.ts'
import { insertRow } from '../../server/db/insert-row.ts'
import { readSchemaPage, type DocTable } from '../support/schema-notation.ts'
import { startTestServer, type TestServer } from '../support/server.ts'

const { tables } = readSchemaPage()
/** Who writes; the first who may. */
const writers = ['owner', 'self', 'agent'] as const
const places = ['project', 'organization', 'team', 'user', 'agent'] as const
const seed = 41

let home: TestServer
let world: RulesWorld
const frames: Uint8Array[] = []

beforeAll(async () => {
  home = await startTestServer()
  world = await RulesWorld.create(home.server.database.pool, tables)
})
afterAll(() => home.close())

interface Device {
  readonly part: Part
  readonly tide: Client
}

function recording(transport: Transport): Transport {
  return {
    open: (listener) =>
      transport.open({
        ...listener,
        opened: () => listener.opened(),
        received: (frame) => {
          frames.push(frame)
          listener.received(frame)
        },
        closed: (reason) => listener.closed(reason),
      }),
  }
}

async function open(part: (typeof writers)[number], name: string): Promise<Device> {
  const { principal } = world.device(part)
  const token = await home.tokenOf({ kind: principal.kind, id: principal.id, organizationId: world.organization })
  const client = await createClient({
    schema: catalog.schema,
    transport: recording(createSocketTransport(home.url)),
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

test('offline clients write to every table, reconnect in any order, and end equal to each other and to the server', async () => {
  const random = seededRandom(seed)
  const secret = 'a-secret-that-nobody-is-sent'
  const { pool } = home.server.database
  await insertRow(pool, 'user_credentials', { user_id: world.idOf('owner'), password_hash: `$argon2id$${secret}` })
  await pool.query(`update projects set description = 'seen-by-all' where organization_id = $1`, [world.organization])
  const devices = await Promise.all(
    writers.flatMap((part) => ['desk', 'phone'].map((name) => open(part, `${part}-${name}`))),
  )
  const writable = tables.filter(
    (table) =>
      table.direction === 'rw' &&
      isWritable(table) &&
      table.scope !== 'conflict' &&
      !table.scope.endsWith('(id)') &&
      table.name !== 'organization_members',
  )
  const plans = await Promise.all(
    writable.map(async (table) => {
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
    tide.disconnect()
  }
  for (const { table, part, place, shared } of plans)
    for (const device of devices.filter((one) => one.part === part)) await write(device, table, place, shared)
  for (const device of devices) expect(device.tide.status.pending).toBeGreaterThan(0)

  for (const { tide } of devices.toSorted(() => random.next() - 0.5)) tide.connect()
  await Promise.all(devices.map(({ tide }) => tide.synced()))
  for (const { tide } of devices) {
    expect((await tide.writes.find({ status: 'rejected' })).map(({ table, outcome }) => [table, outcome])).toEqual([])
    expect(await tide.verify()).toEqual({ equal: true })
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

async function blocksIn(frame: Uint8Array): Promise<readonly PackedBlock[]> {
  const { message, sections } = parseDown(frame)
  if (message.type === 'page') return pageBlocks(message, sections)
  return 'blocks' in message ? blocksOf(message.blocks, sections) : []
}
