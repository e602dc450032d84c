import assert from 'node:assert/strict'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { TideError } from '../../protocol/error.ts'
import type { Mutation, Outcome } from '../../protocol/messages/mutation.ts'
import type { Row } from '../../protocol/rows/row.ts'
import type { WriteDraft } from '../../client-sdk/replica/write-draft.ts'
import { startOfTests } from '../support/manual-clock.ts'
import { batch, dump, openHeld, openReplica, shown, welcome, type Opened } from './open-replica.ts'
import { blockOf, channel, projectId, serverTask, testIds } from './replica-schema.ts'

/**
 * A replica under random writes, pushes, refusals, foreign edits, lost connections and crashes, against an oracle that
 * keeps every draft by itself and replays all of them over what the server has delivered. The oracle knows no folding,
 * no states and no outbox.
 */
type Action =
  | { readonly do: 'insert' | 'delete' | 'restore' | 'foreign' | 'foreignDelete'; readonly row: number }
  | {
      readonly do: 'patch'
      readonly row: number
      readonly set: { readonly title?: string; readonly body?: string | null }
    }
  | { readonly do: 'increment'; readonly row: number; readonly by: number }
  | { readonly do: 'group'; readonly row: number; readonly other: number }
  | { readonly do: 'push' | 'answer' | 'deliver' | 'crash' | 'reconnect' }
  | { readonly do: 'process'; readonly refuse: boolean }

const row = fc.nat({ max: 3 })
const action: fc.Arbitrary<Action> = fc.oneof(
  {
    weight: 2,
    arbitrary: fc.record({ do: fc.constantFrom('insert', 'delete', 'restore', 'foreign', 'foreignDelete'), row }),
  },
  {
    weight: 8,
    arbitrary: fc.record({
      do: fc.constant('patch' as const),
      row,
      set: fc.oneof(
        fc.record({ title: fc.constantFrom('a', 'b', 'c') }),
        fc.record({ body: fc.constantFrom('x', null), title: fc.constantFrom('d', 'e') }),
      ),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({ do: fc.constant('increment' as const), row, by: fc.integer({ min: -3, max: 3 }) }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('group' as const), row, other: row }) },
  { weight: 6, arbitrary: fc.record({ do: fc.constantFrom('push', 'answer', 'deliver', 'crash', 'reconnect') }) },
  { weight: 4, arbitrary: fc.record({ do: fc.constant('process' as const), refuse: fc.boolean() }) },
)

interface Draft {
  readonly entryId: string
  readonly rowId: string
  readonly op: WriteDraft['op']
  readonly set: Readonly<Record<string, unknown>>
  readonly by: number
  /** ISO time of the call. */
  readonly at: string
  /** Ids of the rows that went or came back with it. */
  readonly takes: readonly string[]
}

/** `deletedAt` is also the id of the delete, by which a restore finds what it took. */
type Plain = { title: unknown; body: unknown; useCount: number; deletedAt: string | null }

/** By place, the row that each belongs to: 2 to 0, and 3 to 2. */
const parents: readonly (number | null)[] = [null, null, 0, 2]

function effect(
  row: Plain | undefined,
  { op, set: all, by, at }: Pick<Draft, 'op' | 'set' | 'by' | 'at'>,
): Plain | undefined {
  const set = Object.fromEntries(Object.entries(all).filter(([name]) => name === 'title' || name === 'body'))
  const draft = { op, set, by }
  if (draft.op === 'insert' && row === undefined)
    return { title: draft.set['title'], body: draft.set['body'] ?? null, useCount: 0, deletedAt: null }
  if (row === undefined) return undefined
  if (draft.op === 'insert') return { ...row, ...draft.set, deletedAt: null }
  if (draft.op === 'patch') return { ...row, ...draft.set }
  if (draft.op === 'increment') return { ...row, useCount: row.useCount + draft.by }
  return { ...row, deletedAt: draft.op === 'delete' ? at : null }
}

class World {
  readonly ids = Array.from({ length: 4 }, () => testIds())
  opened: Opened
  drafts: Draft[] = []
  /** As the server has them, and as it had them when it last delivered. */
  server = new Map<string, Plain>()
  delivered = new Map<string, Plain>()
  ledger = new Map<string, Outcome>()
  counter = 0
  wire: Mutation[] = []
  answers: Outcome[] = []
  settled: string[] = []
  after = 0
  seq = 1
  /** Seeds the ids of each process: two never make the same. */
  lives = 1

  constructor(opened: Opened) {
    this.opened = opened
  }

  /** What belongs to a row, and to that, as far as it was deleted at the same time. */
  family(id: string, rows: ReadonlyMap<string, Plain>, deletedAt: string | null): readonly string[] {
    const children = this.ids.filter((child, index) => {
      const parent = parents[index] ?? null
      return parent !== null && this.ids[parent] === id && rows.get(child)?.deletedAt === deletedAt
    })
    return children.flatMap((child) => [child, ...this.family(child, rows, deletedAt)])
  }

  /** Every write that is not over, in call order, over what was delivered. */
  expected(): ReadonlyMap<string, Plain> {
    const rows = new Map(this.delivered)
    for (const draft of this.drafts) {
      if (this.isOver(draft.entryId)) continue
      for (const id of [draft.rowId, ...draft.takes]) {
        const after = effect(rows.get(id), draft)
        if (after !== undefined) rows.set(id, after)
      }
    }
    return rows
  }

  takesOf({ op, rowId }: WriteDraft): readonly string[] {
    const id = rowId ?? ''
    const rows = this.expected()
    const deletedAt = rows.get(id)?.deletedAt ?? null
    const isTaking = op === 'delete' || (op === 'restore' && deletedAt !== null)
    return isTaking ? this.family(id, rows, deletedAt) : []
  }

  async write(drafts: readonly WriteDraft[], group: boolean): Promise<void> {
    try {
      const takes = drafts.map((draft) => this.takesOf(draft))
      const entries = await this.opened.replica.write(drafts, { group })
      entries.forEach((entry, index) => {
        const draft = drafts[index]
        const rowId = draft?.rowId ?? ''
        if (entry.settled)
          this.drafts = this.drafts.filter((other) => other.rowId !== rowId || this.isOver(other.entryId))
        else if (draft !== undefined)
          this.drafts.push({
            entryId: entry.mutation.id,
            rowId,
            op: draft.op,
            set: draft.set ?? {},
            by: draft.inc?.['useCount'] ?? 0,
            at: new Date(entry.mutation.at).toISOString(),
            takes: takes[index] ?? [],
          })
      })
    } catch (error) {
      if (!(error instanceof TideError)) throw error
    }
  }

  over = new Set<string>()
  isOver(id: string): boolean {
    return this.over.has(id)
  }

  process(refuse: boolean): void {
    const mutation = this.wire.shift()
    if (mutation === undefined) return
    const stored = this.ledger.get(mutation.id)
    if (stored !== undefined) return void this.answers.push(stored)
    assert.equal(mutation.clientSeq, this.counter + 1, 'counters have no gap')
    this.counter += 1
    const isOrphan = (mutation.dependsOn ?? []).some((id) => this.ledger.get(id)?.kind === 'rejected')
    const isRefused = refuse || isOrphan
    const outcome: Outcome = isRefused
      ? {
          mutationId: mutation.id,
          clientSeq: mutation.clientSeq,
          kind: 'rejected',
          error: { code: 'forbidden', message: 'no', remedy: 'none' },
        }
      : { mutationId: mutation.id, clientSeq: mutation.clientSeq, kind: 'applied' }
    if (!isRefused) {
      this.apply(mutation)
      this.settled.push(mutation.id)
    }
    this.ledger.set(mutation.id, outcome)
    this.answers.push(outcome)
  }

  /** As the server does it: a delete of what is deleted, and a restore of what is not, change nothing. */
  apply({ op, rowId, set = {}, inc = {}, clientSeq }: Mutation): void {
    const before = this.server.get(rowId)
    const isNoop =
      before === undefined ? op !== 'insert' : (before.deletedAt !== null) === (op === 'delete') && isDeleting(op)
    if (isNoop) return
    const at = new Date(startOfTests + 60_000 * clientSeq).toISOString()
    const taken = isDeleting(op) ? this.family(rowId, this.server, before?.deletedAt ?? null) : []
    for (const id of [rowId, ...taken]) {
      const after = effect(this.server.get(id), { op, set, by: inc['useCount'] ?? 0, at })
      if (after !== undefined) this.server.set(id, after)
    }
  }

  async answer(): Promise<void> {
    const outcome = this.answers.shift()
    if (outcome === undefined) return
    await this.opened.replica.applyOutcomes([outcome])
    if (outcome.kind === 'rejected') this.park()
  }

  /** Which writes were parked is asked of the replica; what that means for rows is the oracle's. */
  park(): void {
    for (const entry of this.opened.replica.writes()) if (entry.status === 'rejected') this.over.add(entry.mutation.id)
  }

  async deliver(): Promise<void> {
    this.seq += 1
    const changed = [...this.server].filter(([id, plain]) => this.delivered.get(id) !== plain)
    const gone = [...this.delivered.keys()].filter((id) => !this.server.has(id))
    const rows = changed.map(([id, plain]) => this.toRow(id, plain))
    await this.opened.replica.applyBatch(
      batch(this.seq, {
        blocks: rows.length === 0 ? [] : [blockOf('tasks', rows)],
        deletes: gone.length === 0 ? [] : [{ table: 'tasks', ids: gone }],
        settled: this.settled,
      }),
    )
    // What the server took before these is over with them, refused or not, even if its answer was lost.
    const last = Math.max(0, ...this.settled.map((id) => this.ledger.get(id)?.clientSeq ?? 0))
    for (const [id, { clientSeq }] of this.ledger) if (clientSeq <= last) this.over.add(id)
    this.settled = []
    this.delivered = new Map(this.server)
  }

  async reconnect(): Promise<void> {
    this.wire = []
    this.answers = []
    this.after = 0
    await this.opened.replica.applyWelcome(welcome({ clientSeq: this.counter }))
  }

  /** The id of the row that this one belongs to. */
  parentOf(id: string): string | null {
    const parent = parents[this.ids.indexOf(id)] ?? null
    return parent === null ? null : (this.ids[parent] ?? null)
  }

  toRow(id: string, { title, body, useCount, deletedAt }: Plain): Row {
    return serverTask({
      id,
      title: String(title),
      body: body === null ? null : String(body),
      useCount,
      deletedAt,
      parentId: this.parentOf(id),
      channel,
    })
  }

  async check(): Promise<void> {
    const rows = this.expected()
    for (const id of this.ids) {
      const expected = rows.get(id)
      const row = await shown(this.opened, 'tasks', id)
      const actual =
        row === undefined
          ? undefined
          : {
              title: row['title'],
              body: row['body'],
              useCount: row['useCount'],
              deletedAt: row['deletedAt'] ?? null,
            }
      assert.deepEqual(actual, expected)
    }
  }
}

function isDeleting(op: WriteDraft['op']): boolean {
  return op === 'delete' || op === 'restore'
}

async function perform(world: World, action: Action): Promise<void> {
  const at = (index: number): string => world.ids[index] ?? ''
  switch (action.do) {
    case 'insert':
      return world.write(
        [
          {
            table: 'tasks',
            rowId: at(action.row),
            op: 'insert',
            set: { projectId, title: 'new', parentId: world.parentOf(at(action.row)) },
          },
        ],
        false,
      )
    case 'patch':
      return world.write([{ table: 'tasks', rowId: at(action.row), op: 'patch', set: action.set }], false)
    case 'increment':
      return world.write(
        [{ table: 'tasks', rowId: at(action.row), op: 'increment', inc: { useCount: action.by } }],
        false,
      )
    case 'delete':
    case 'restore':
      return world.write([{ table: 'tasks', rowId: at(action.row), op: action.do }], false)
    case 'group':
      return world.write(
        [action.row, action.other].map((index) => ({
          table: 'tasks',
          rowId: at(index),
          op: 'patch',
          set: { title: 'grouped' },
        })),
        true,
      )
    case 'foreign':
      return void world.server.set(at(action.row), {
        title: 'foreign',
        body: 'theirs',
        useCount: (world.server.get(at(action.row))?.useCount ?? 0) + 10,
        deletedAt: null,
      })
    case 'foreignDelete':
      return void world.server.delete(at(action.row))
    case 'push': {
      const sent = await world.opened.replica.nextPush(3, 1e6, world.after)
      world.after = sent.at(-1)?.clientSeq ?? world.after
      return void world.wire.push(...sent)
    }
    case 'process':
      return world.process(action.refuse)
    case 'answer':
      return world.answer()
    case 'deliver':
      return world.deliver()
    case 'reconnect':
      return world.reconnect()
    case 'crash': {
      const before = await dump(world.opened)
      world.lives += 1
      world.opened = await openReplica(world.opened.store, world.lives, world.opened.clock)
      assert.deepEqual(await dump(world.opened), before, 'reopening loses nothing')
      return world.reconnect()
    }
  }
}

/** A refusal whose answer is still on its way when a batch shows that a later write of this device was taken. */
const settledBeforeRefusal: Action[] = [
  { do: 'patch', row: 0, set: { title: 'a' } },
  { do: 'patch', row: 1, set: { title: 'b' } },
  { do: 'push' },
  { do: 'process', refuse: true },
  { do: 'process', refuse: false },
  { do: 'deliver' },
  { do: 'answer' },
]

test('shows what replaying every write over the server rows gives, and ends with nothing pending', async () => {
  const runs = Number(process.env['TIDEWIRE_RUNS'] ?? 150)
  await fc.assert(
    fc.asyncProperty(fc.array(action, { minLength: 1, maxLength: 60 }), async (actions) => {
      const world = new World(await openHeld())
      // Three of the four rows exist from the start, so that most writes find one.
      for (const row of [0, 1, 2]) await perform(world, { do: 'foreign', row })
      await world.deliver()
      for (const one of actions) {
        await perform(world, one)
        await world.check()
      }
      await world.reconnect()
      for (let round = 0; round < 200 && world.opened.replica.pendingCount > 0; round++) {
        for (const step of ['push', 'process', 'answer', 'deliver'] as const)
          await perform(world, step === 'process' ? { do: step, refuse: false } : { do: step })
        await world.check()
      }
      expect(world.opened.replica.pendingCount, 'every write ends').toBe(0)
    }),
    { numRuns: runs, examples: [[settledBeforeRefusal]] },
  )
})
