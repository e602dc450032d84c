// Small changes, specs and steps for tests of the pure parts.
import type { Row } from '../../protocol/rows/row.ts'
import type { TableDescriptor } from '../../protocol/rows/table.ts'
import { toSeq } from '../../protocol/seq.ts'
import type { Subscription } from '../../protocol/messages/subscription.ts'
import type { Change, Step } from '../../server/hub/feed.ts'
import { toSpec, type Spec } from '../../server/hub/spec.ts'

export const organization = '00000000-0000-7000-8000-00000000000a'

export const tasks: TableDescriptor = {
  name: 'tasks',
  direction: 'rw',
  policy: 'merge',
  writers: ['member'],
  scope: { kind: 'row' },
  columns: {
    id: { name: 'id', type: 'uuid' },
    version: { name: 'version', type: 'integer' },
    status: { name: 'status', type: 'text' },
    embedding: { name: 'embedding', type: 'vector', dimension: 2, nullable: true },
  },
}
export const tables = new Map([
  ['tasks', tasks],
  ['notes', { ...tasks, name: 'notes' }],
])

export function taskId(number: number): string {
  return `00000000-0000-7000-8000-${String(number).padStart(12, '0')}`
}

export function row(number: number, rest: Row = {}): Row {
  return { id: taskId(number), version: 2, status: 'a', embedding: new Float32Array([1, 2]), ...rest }
}

export function change(number: number, rest: Partial<Change> = {}): Change {
  return {
    seq: toSeq(number),
    table: 'tasks',
    id: taskId(number),
    organizationId: organization,
    row: row(number),
    homes: ['global'],
    formerHomes: [],
    fresh: false,
    everywhere: false,
    ...rest,
  }
}

export function spec(rest: Partial<Subscription> = {}, organizationId = organization): Spec {
  return toSpec({ id: 's', channel: 'global', embeddings: false, ...rest }, { organizationId }, tables)
}

export function step(changes: readonly Change[], rest: Partial<Step> = {}): Step {
  return {
    kind: 'step',
    from: toSeq(0),
    to: toSeq(100),
    at: 1,
    moment: 100,
    embeddings: true,
    changes,
    bytes: 0,
    departures: [],
    marks: [],
    resets: [],
    credentials: [],
    canary: false,
    access: new Map(),
    verified: null,
    ...rest,
  }
}
