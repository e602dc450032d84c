import { isDeepStrictEqual } from 'node:util'
import { rowId, type Row } from '../../protocol/rows/row.ts'
import type { Schema } from '../../protocol/rows/table.ts'
import { compileHolds, tablesOf } from '../../client-sdk/store/holding.ts'
import type { RowState, SubscriptionRecord } from '../../client-sdk/store/store.ts'
import type { SimClient } from './sim-client.ts'
import type { World } from './world.ts'

/** Tables that the workload fills; all others are empty or never change. */
const tables = ['projects', 'project_members', 'tasks', 'memories', 'memory_tags', 'sync_conflicts'] as const

/**
 * Promises 1, 2 and 7 at one moment: what the server has sent of each held subscription is exactly the server's state
 * at the replica's cursor: nothing missing, nothing of a later or half a commit, nothing of somebody else's.
 */
export async function differencesAtCursor(world: World, device: SimClient): Promise<readonly string[]> {
  const stored = await device.store.load()
  const { cursor, principal } = stored.meta
  // A cursor of a history that is gone says nothing.
  if (cursor === null || principal === null || !world.database.isOurs(cursor)) return []
  const rows = world.database.rowsAt(cursor.seq)
  const held = stored.subscriptions.filter(({ state }) => state === 'held')
  const known = tablesIn(device.schema)
  const images = new Map<string, ReadonlyMap<string, Row>>()
  const here = tables.filter((table) => known.has(table))
  for (const table of here) images.set(table, await serverImages(device, table, stored.states))
  const problems = here.flatMap((table) =>
    compare(
      `${device.name} at ${cursor.seq}: ${table}`,
      columnsOf(device, table),
      expectedRows(world, held, table, rows),
      // While nothing is being fetched, every row that is here must be held: lost access takes rows away (promise 7).
      held.length === stored.subscriptions.length
        ? (images.get(table) ?? new Map())
        : heldRows(world, held, table, images),
    ),
  )
  // A step of the replica that came between these reads would make them of two states.
  const after = await device.store.load()
  return JSON.stringify(after) === JSON.stringify(stored) ? problems : []
}

const indexed = new WeakMap<Schema, ReturnType<typeof tablesOf>>()

/** A schema never changes, and is asked for at every look. */
function tablesIn(schema: Schema): ReturnType<typeof tablesOf> {
  const found = indexed.get(schema) ?? tablesOf(schema)
  indexed.set(schema, found)
  return found
}

function expectedRows(
  world: World,
  held: readonly SubscriptionRecord[],
  table: string,
  rows: ReturnType<World['database']['rowsAt']>,
): ReadonlyMap<string, Row> {
  const expected = new Map<string, Row>()
  for (const { subscription } of held) {
    if (subscription.tables !== undefined && !subscription.tables.includes(table)) continue
    const selection = {
      organizationId: world.organizationId,
      channel: subscription.channel,
      tables: [table],
      where: subscription.where ?? {},
      embeddings: false,
    }
    for (const row of world.database.selected(selection, table, rows)) expected.set(rowId(row), row)
  }
  return expected
}

/** Rows as the server last sent them: the image below pending writes, or the row itself. */
async function serverImages(
  device: SimClient,
  table: string,
  states: readonly RowState[],
): Promise<ReadonlyMap<string, Row>> {
  const images = new Map((await device.store.query(table, { withDeleted: true })).map((row) => [rowId(row), row]))
  for (const state of states) {
    if (state.table !== table) continue
    if (state.serverImage === null) images.delete(state.rowId)
    else images.set(state.rowId, state.serverImage)
  }
  return images
}

/** Rows of a subscription that is only being fetched are not promised yet. */
function heldRows(
  world: World,
  held: readonly SubscriptionRecord[],
  table: string,
  images: ReadonlyMap<string, ReadonlyMap<string, Row>>,
): ReadonlyMap<string, Row> {
  const tablesByName = tablesIn(world.schema)
  const descriptor = world.database.descriptor(table)
  const isHeld = compileHolds(
    tablesByName,
    descriptor,
    held.map(({ subscription }) => subscription),
    {
      row: (name, id) => (name === table ? images.get(name)?.get(id) : world.database.rows.get(name, id)),
      rows: (name) => images.get(name)?.values() ?? [],
    },
  )
  return new Map([...(images.get(table) ?? [])].filter(([, row]) => isHeld(row)))
}

/** All columns that the device's replica has of a table, but vectors, which nobody here asked for. */
function columnsOf({ schema }: SimClient, table: string): readonly string[] {
  const columns = Object.values(tablesIn(schema).get(table)?.columns ?? {})
  return columns.filter(({ type }) => type !== 'vector').map(({ name }) => name)
}

/** Whole rows: a version that is right with a value that is not would be a half commit. */
function compare(
  where: string,
  columns: readonly string[],
  expected: ReadonlyMap<string, Row>,
  found: ReadonlyMap<string, Row>,
): readonly string[] {
  const problems: string[] = []
  for (const [id, row] of expected) {
    const other = found.get(id)
    if (other === undefined)
      problems.push(`${where} lacks ${id} (version ${String(row['version'])}, channel ${String(row['channel'])})`)
    else if (other['version'] !== row['version'])
      problems.push(`${where} has ${id} at version ${String(other['version'])}, the server ${String(row['version'])}`)
    else
      for (const name of columns)
        if (!isDeepStrictEqual(other[name], row[name]))
          problems.push(
            `${where} has ${JSON.stringify(other[name])} as ${name} of ${id} (version ${String(row['version'])}), the server ${JSON.stringify(row[name])}`,
          )
  }
  for (const [id, row] of found)
    if (!expected.has(id))
      problems.push(
        `${where} has ${id} too many (version ${String(row['version'])}, channel ${String(row['channel'])})`,
      )
  return problems
}

/** Promises 4, 5, 6 and 8, once everything has come to rest. */
export async function differencesAtRest(
  world: World,
  device: SimClient,
  acknowledged: ReadonlySet<string>,
): Promise<readonly string[]> {
  const problems: string[] = []
  const stored = await device.store.load()
  for (const entry of stored.outbox) {
    if (entry.status === 'synced') continue
    if (entry.status !== 'rejected' && entry.status !== 'conflict')
      problems.push(`${device.name}: write ${entry.mutation.id} is still ${entry.status}`)
    const conflictId = entry.status === 'conflict' ? entry.outcome?.conflictId : undefined
    if (conflictId !== undefined && (await device.store.rows('sync_conflicts', [conflictId]))[0]?.['status'] !== 'open')
      problems.push(
        `${device.name}: write ${entry.mutation.id} waits for conflict ${conflictId}, which is not here open`,
      )
    const isForgotten = entry.status === 'rejected' && world.restored > 0
    if (!isForgotten && world.server.store.outcomeOf(entry.mutation.id) === undefined)
      problems.push(`${device.name}: write ${entry.mutation.id} (${entry.status}) has no outcome on the server`)
  }
  for (const { table, rowId: id } of stored.states) {
    const entries = stored.outbox
      .filter(({ mutation }) => mutation.rowId === id)
      .map(({ mutation, status, settled }) => `${mutation.op} ${mutation.id} ${status}${settled ? ' settled' : ''}`)
    problems.push(
      `${device.name}: ${table} ${id} still differs from the server; its writes: ${entries.join(', ') || 'none'}`,
    )
  }
  for (const id of acknowledged) {
    // What is refused when it goes again is parked, and gone if a backup comes a second time.
    if (world.server.store.outcomeOf(id) === undefined && !world.server.store.refused.has(id))
      problems.push(`${device.name}: acknowledged write ${id} is unknown to the server`)
  }
  for (const [id, count] of world.server.store.effects)
    if (count !== 1) problems.push(`mutation ${id} took effect ${count} times`)
  problems.push(...(await differencesAtCursor(world, device)))
  const { cursor } = stored.meta
  if (cursor === null || cursor.seq === 0) problems.push(`${device.name} has never received anything`)
  return problems
}

/** Counters are the sum of the increments that were applied; losing values of conflicts are all kept. */
export function ledgerDifferences(world: World): readonly string[] {
  const problems: string[] = []
  for (const memory of world.database.rows.all('memories')) {
    const expected = world.server.store.increments.get(rowId(memory)) ?? 0
    if (Number(memory['reinforcementCount']) !== expected)
      problems.push(`memory ${rowId(memory)} counts ${String(memory['reinforcementCount'])}, ${expected} were applied`)
  }
  for (const outcome of world.server.store.outcomes()) {
    if (
      outcome.kind === 'conflict' &&
      (outcome.conflictId === undefined || world.database.rows.get('sync_conflicts', outcome.conflictId) === undefined)
    ) {
      problems.push(`the losing values of ${outcome.mutationId} are nowhere`)
    }
  }
  return problems
}

/**
 * What the store holds and what the client answers, once nothing waits: promise 8 as users see it, and promise 7 for
 * all that lies in the store, whether a subscription holds it or not.
 */
export async function differencesShown(world: World, device: SimClient): Promise<readonly string[]> {
  const { subscriptions } = await device.store.load()
  const held = subscriptions.filter(({ state }) => state === 'held')
  const shown = new Map<string, readonly Row[]>()
  for (const table of tables)
    if (tablesIn(device.schema).has(table)) shown.set(table, await device.store.query(table, { withDeleted: true }))
  const asked: (readonly [string, readonly Row[]])[] = []
  for (const tide of device.tides)
    asked.push(['tasks', (await tide.tasks.find({ withDeleted: true })) as unknown as readonly Row[]])
  return [...shown, ...asked].flatMap(([table, rows]) =>
    compare(
      `${device.name} shows: ${table}`,
      columnsOf(device, table),
      expectedRows(world, held, table, world.database.rows),
      new Map(rows.map((row) => [rowId(row), row])),
    ),
  )
}
