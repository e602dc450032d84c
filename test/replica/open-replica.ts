import { seededRandom } from '../../lib/random.ts'
import type { DownOf } from '../../protocol/messages/down.ts'
import type { Outcome } from '../../protocol/messages/mutation.ts'
import type { Row } from '../../protocol/rows/row.ts'
import type { ReceivedBatch } from '../../client-sdk/replica/received.ts'
import { Replica } from '../../client-sdk/replica/replica.ts'
import { createMemoryStore } from '../../client-sdk/store/memory-store.ts'
import type { OutboxEntry, ReplicaStore } from '../../client-sdk/store/store.ts'
import { ManualClock, startOfTests } from '../support/manual-clock.ts'
import { channel, organizationId, replicaSchema, testIds, userId } from './replica-schema.ts'

export const deviceId = testIds()

export interface Opened {
  readonly replica: Replica
  readonly store: ReplicaStore
  readonly clock: ManualClock
}

/** A replica on a memory store; hand in the store of another to open that again. */
export async function openReplica(
  store: ReplicaStore = createMemoryStore(replicaSchema),
  seed = 1,
  clock = new ManualClock(),
): Promise<Opened> {
  const replica = await Replica.open({ store, schema: replicaSchema, clock, random: seededRandom(seed) })
  return { replica, store, clock }
}

export function welcome(values: Partial<DownOf<'welcome'>> = {}): DownOf<'welcome'> {
  return {
    type: 'welcome',
    protocol: 1,
    schemaHash: 'hash',
    epoch: 'first',
    resume: true,
    organizationId,
    principal: { kind: 'user', id: userId },
    deviceId,
    clientSeq: 0,
    serverTime: startOfTests,
    tokenExpiresAt: startOfTests + 3_600_000,
    limits: { messageBytes: 1e6, subscriptions: 500, pushMutations: 100, windowBatches: 64 },
    ...values,
  }
}

export function batch(to: number, values: Partial<ReceivedBatch> = {}): ReceivedBatch {
  return { to, at: to, blocks: [], deletes: [], leaves: [], settled: [], activated: [], resets: [], ...values }
}

/** Opened, greeted, and following the project with its (empty) state held. */
export async function openHeld(seed = 1, store?: ReplicaStore): Promise<Opened> {
  const opened = await openReplica(store, seed)
  await opened.replica.applyWelcome(welcome({ resume: false }))
  await opened.replica.addSubscription({ id: 'project', channel, embeddings: false })
  await opened.replica.stagePage('project', { from: 1, next: null, blocks: [] })
  await opened.replica.applyBatch(batch(1, { activated: ['project'] }))
  return opened
}

export async function shown({ replica }: Pick<Opened, 'replica'>, table: string, id: string): Promise<Row | undefined> {
  return (await replica.read((store) => store.rows(table, [id])))[0]
}

export function outcomeOf(
  entry: Pick<OutboxEntry, 'mutation'>,
  kind: Outcome['kind'],
  values: Partial<Outcome> = {},
): Outcome {
  return { mutationId: entry.mutation.id, clientSeq: entry.mutation.clientSeq || 1, kind, ...values }
}

/** Everything of a replica that must survive a crash. */
export async function dump({ replica }: Pick<Opened, 'replica'>): Promise<unknown> {
  const tables = Object.values(replicaSchema).map(({ name }) => name)
  const rows = await replica.read(async (store) =>
    Promise.all(tables.map(async (table) => [table, await store.query(table, { withDeleted: true })])),
  )
  const sync = (rows as [string, readonly Row[]][]).map(([table, found]) =>
    found.map(({ id }) => replica.syncOf(table, String(id))),
  )
  return {
    rows,
    sync,
    writes: replica.writes(),
    meta: replica.meta,
    subscriptions: replica.subscriptions,
    open: replica.openConflicts,
    pending: replica.pendingCount,
  }
}

/** What must be there. */
export function sure<T>(value: T | undefined): T {
  if (value === undefined) throw new Error('it is not there')
  return value
}
