import { packRows } from '../../protocol/rows/block-codec.ts'
import type { PackedBlock } from '../../protocol/rows/block.ts'
import type { Row, Value } from '../../protocol/rows/row.ts'
import type { Subscription } from '../../protocol/messages/subscription.ts'
import type { Random } from '../../lib/random.ts'
import { contractDimension, contractSchema } from './contract-schema.ts'

type TableName = keyof typeof contractSchema

/** A UUIDv7 of its own for every number. */
export function idOf(number: number): string {
  return `01930000-0000-7000-8000-${number.toString(16).padStart(12, '0')}`
}

export const projectA = idOf(0xa)
export const projectB = idOf(0xb)
export const channelA = `project/${projectA}`
export const channelB = `project/${projectB}`

const moment = '2026-11-22T01:42:36.123Z'

function common(number: number, channel: string) {
  return { id: idOf(number), channel, version: 1, createdAt: moment, updatedAt: moment }
}

function idIn(channel: string): string {
  return channel.slice(channel.indexOf('/') + 1)
}

export function issue(number: number, channel: string, values: Row = {}): Row {
  return {
    ...common(number, channel),
    projectId: idIn(channel),
    title: `Issue ${number}`,
    status: 'open',
    priority: 0,
    bytes: null,
    price: null,
    exact: null,
    ratio: null,
    urgent: false,
    dueAt: null,
    dueDate: null,
    meta: {},
    labels: [],
    deletedAt: null,
    ...values,
  }
}

export function thread(number: number, channel: string, values: Row = {}): Row {
  return {
    ...common(number, channel),
    projectId: idIn(channel),
    title: `Thread ${number}`,
    deletedAt: null,
    ...values,
  }
}

export function reply(number: number, threadNumber: number, values: Row = {}): Row {
  const threadId = idOf(threadNumber)
  return { ...common(number, `thread/${threadId}`), threadId, body: `Reply ${number}`, ...values }
}

export function note(number: number, channel: string, values: Row = {}): Row {
  return {
    ...common(number, channel),
    projectId: idIn(channel),
    content: `Note ${number}`,
    address: null,
    lifetime: null,
    raw: null,
    embedding: null,
    deletedAt: null,
    ...values,
  }
}

export function signal(number: number, channel: string): Row {
  return { ...common(number, channel), projectId: idIn(channel), kind: 'tick' }
}

/** Whoever `user/<id>` and the like name. */
export function guestChannel(kind: 'user' | 'agent' | 'team', number: number): string {
  return `${kind}/${idOf(number)}`
}

export function reader(number: number, threadNumber: number, guest: string, values: Row = {}): Row {
  const threadId = idOf(threadNumber)
  const named = { userId: guestOf('user', guest), agentId: guestOf('agent', guest) }
  return { ...common(number, `thread/${threadId}`), threadId, ...named, deletedAt: null, ...values }
}

export function member(number: number, boardNumber: number, guest: string, values: Row = {}): Row {
  const boardId = idOf(boardNumber)
  const named = { userId: guestOf('user', guest), teamId: guestOf('team', guest) }
  return { ...common(number, `project/${boardId}`), boardId, ...named, deletedAt: null, ...values }
}

/** In the channel of its own name, unless told otherwise. */
export function board(number: number, values: Row = {}): Row {
  return { ...common(number, `project/${idOf(number)}`), ownerId: null, deletedAt: null, ...values }
}

export function conflict(number: number, channel: string): Row {
  return { ...common(number, channel), kind: 'field' }
}

function guestOf(kind: string, channel: string): string | null {
  return channel.startsWith(`${kind}/`) ? idIn(channel) : null
}

export function vectorOf(random: Random): Float32Array {
  return Float32Array.from({ length: contractDimension }, () => random.next() * 2 - 1)
}

/** The row as `query` returns it. */
export function withoutVectors(row: Row): Row {
  return Object.fromEntries(Object.entries(row).filter(([key]) => key !== 'embedding'))
}

export function pack(table: TableName, rows: readonly Row[], options = { embeddings: true }): PackedBlock {
  return packRows(contractSchema[table], rows, options)
}

export function follow(id: string, channel: string, narrower: Partial<Subscription> = {}): Subscription {
  return { id, channel, embeddings: true, ...narrower }
}

const statuses = ['open', 'busy', 'done'] as const
const texts = [
  '',
  'a',
  'A',
  'ab',
  'aB%',
  'Zz_',
  'été',
  'Ünder',
  '\u{1f600}',
  '\uff41',
  'back\\slash',
  "quo'te",
  'tab\tnew\nline',
] as const

export function pickFrom<T>(random: Random, values: readonly [T, ...T[]]): T {
  return values[Math.floor(random.next() * values.length)] ?? values[0]
}

/** An issue with all sorts of values, nulls and extremes among them. */
export function randomIssue(number: number, random: Random): Row {
  const maybe = <T>(make: () => T): T | null => (random.next() < 0.25 ? null : make())
  const whole = (limit: number): number => Math.floor((random.next() * 2 - 1) * limit)
  const time = (): string => new Date(1_700_000_000_000 + whole(10_000_000_000)).toISOString()
  return issue(number, pickFrom(random, [channelA, channelB]), {
    title: pickFrom(random, texts),
    status: pickFrom(random, statuses),
    priority: whole(4),
    bytes: maybe(() => pickFrom(random, [0, 1, -1, Number.MAX_SAFE_INTEGER, whole(2 ** 40)])),
    price: maybe(() => pickFrom(random, [0, 0.1, 1_234_567_890.12, whole(1_000_000) / 100])),
    exact: maybe(() =>
      pickFrom(random, [
        '0.0000000000',
        '12345678901234567890.1234567890',
        '-1.5000000000',
        '10000.0000000000',
        '0.0001000000',
      ]),
    ),
    ratio: maybe(() => pickFrom(random, [0, 1e-7, 1e21, -2.5, random.next()])),
    urgent: random.next() < 0.5,
    dueAt: maybe(time),
    dueDate: maybe(() => time().slice(0, 10)),
    meta: pickFrom<Value>(random, [
      {},
      { a: 1 },
      { a: 1, b: [true, null, 'x'] },
      { nested: { deep: 'ü' } },
      [1, 2],
      'text',
    ]),
    labels: pickFrom(random, [[], ['a'], ['a', 'b c', '"q"'], ['{', ',', 'NULL', '\\']]),
    deletedAt: random.next() < 0.2 ? time() : null,
  })
}
