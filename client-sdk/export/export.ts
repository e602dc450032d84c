import type { Row } from '../../protocol/rows/row.ts'
import type { Schema, TableDescriptor } from '../../protocol/rows/table.ts'
import { patchToWire } from '../outbox/wire-value.ts'
import type { ReplicaView } from '../replica/replica-view.ts'
import { tablesOf } from '../store/holding.ts'
import { exportVersion, type ExportLine } from './export-line.ts'
import { ToldRows } from './told-rows.ts'

export interface ExportOptions {
  /** `false` leaves vector columns out. */
  readonly embeddings?: boolean
  /** Ends the stream with its reason. */
  readonly signal?: AbortSignal
}

/** What an export needs of the client. */
export interface ExportSource {
  readonly schema: Schema
  readonly replica: ReplicaView
  readonly deviceName: string
}

/** Characters of one page of rows that are aimed at: this much is in memory at a time, and one row more. */
const pageLength = 500_000
const fewest = 10
const most = 1_000

/**
 * The replica as JSON lines (`ExportLine`), in UTF-8. It is read page by page as the stream is, and holds nobody up:
 * rows that change meanwhile are told again, so at its end the file is the replica at that one moment, without a part
 * of a step.
 */
export function exportReplica(
  source: ExportSource,
  options: ExportOptions = {},
): ReadableStream<Uint8Array<ArrayBuffer>> {
  const encoder = new TextEncoder()
  const told = new ToldRows()
  let stopListening = (): void => undefined
  const pages = exportPages(source, options, told)
  let isStarted = false
  return new ReadableStream(
    {
      async pull(controller) {
        try {
          options.signal?.throwIfAborted()
          if (!isStarted) stopListening = source.replica.onChange((change) => told.take(change))
          isStarted = true
          const page = await pages.next()
          options.signal?.throwIfAborted()
          if (page.done !== true) return controller.enqueue(encoder.encode(page.value))
          stopListening()
          controller.close()
        } catch (error) {
          stopListening()
          controller.error(error)
        }
      },
      cancel() {
        stopListening()
      },
    },
    // Nothing is read before somebody wants it.
    { highWaterMark: 0 },
  )
}

async function* exportPages(
  source: ExportSource,
  options: ExportOptions,
  told: ToldRows,
): AsyncGenerator<string, void> {
  const { replica, schema, deviceName } = source
  const tables = tablesOf(schema)
  const embeddings = options.embeddings ?? true
  let lines = 0
  const text = (page: readonly ExportLine[]): string => {
    lines += page.length
    return page.map((line) => `${JSON.stringify(line)}\n`).join('')
  }
  const now = (): string => new Date(replica.now()).toISOString()
  const rowLine = (table: TableDescriptor, row: Row): ExportLine => {
    const sync = replica.syncOf(table.name, String(row['id']))
    return {
      kind: 'row',
      table: table.name,
      row: patchToWire(embeddings ? row : withoutVectors(table, row)),
      ...(sync.status === 'synced' ? {} : { sync }),
    }
  }

  async function* whole(table: TableDescriptor): AsyncGenerator<string, void> {
    const hasVectors = embeddings && vectorsOf(table).length > 0
    // A first page of few rows tells how large rows are.
    let limit = 2 * fewest
    let after: string | null = ''
    told.begin(table.name)
    while (after !== null) {
      const where: { where?: { id: { gt: string } } } = after === '' ? {} : { where: { id: { gt: after } } }
      const page: readonly ExportLine[] = await replica.read(async (reader) => {
        const plain = await reader.query(table.name, { ...where, orderBy: [{ id: 'asc' }], limit, withDeleted: true })
        const ids = plain.map((row) => String(row['id']))
        const rows = hasVectors ? inOrder(ids, await reader.rows(table.name, ids)) : plain
        // Before the next step begins: what it changes is noted.
        after = plain.length < limit ? null : (ids.at(-1) ?? null)
        told.advance(table.name, after)
        return rows.map((row) => rowLine(table, row))
      })
      if (page.length === 0) continue
      const content = text(page)
      yield content
      limit = Math.min(most, Math.max(fewest, Math.round((page.length * pageLength) / content.length)))
    }
  }

  async function changedRows(table: TableDescriptor, ids: readonly string[]): Promise<string> {
    const rows = await replica.read((reader) => reader.rows(table.name, ids))
    const here = new Map(rows.map((row) => [String(row['id']), row]))
    return text(
      ids.map((id) => {
        const row = here.get(id)
        return row === undefined ? { kind: 'gone', table: table.name, id } : rowLine(table, row)
      }),
    )
  }

  const { organizationId, principal, deviceId, schemaHash } = replica.meta
  const device = { id: deviceId, name: deviceName }
  const head = { format: 'tidewire-replica', version: exportVersion, at: now() } as const
  yield text([{ kind: 'replica', ...head, organizationId, principal, device, schemaHash, embeddings }])
  for (const table of tables.values()) yield* whole(table)

  // Each round takes more, so that one which reads slowly comes to an end beside one who writes a lot.
  for (let round = most; ; round *= 2) {
    const again = told.voided()
    const changed = again === undefined ? told.takeChanged(round) : undefined
    const table = tables.get(again ?? changed?.table ?? '')
    if (table === undefined) break
    if (changed !== undefined) yield await changedRows(table, changed.ids)
    else {
      yield text([{ kind: 'again', table: table.name }])
      yield* whole(table)
    }
  }

  // In the same turn as the look that found nothing left to tell: all of it is of one moment.
  const [writes, subscriptions, { cursor }, at] = [replica.writes(), replica.subscriptions, replica.meta, now()]
  yield text(subscriptions.map(({ subscription, state }) => ({ kind: 'subscription', subscription, state })))
  for (const { status, mutation, outcome } of writes) yield text([{ kind: 'write', status, mutation, outcome }])
  yield text([{ kind: 'end', cursor, at, lines }])
}

function vectorsOf({ columns }: TableDescriptor): readonly string[] {
  return Object.keys(columns).filter((name) => columns[name]?.type === 'vector')
}

function withoutVectors(table: TableDescriptor, row: Row): Row {
  const vectors = new Set(vectorsOf(table))
  return Object.fromEntries(Object.entries(row).filter(([name]) => !vectors.has(name)))
}

function inOrder(ids: readonly string[], rows: readonly Row[]): readonly Row[] {
  const byId = new Map(rows.map((row) => [String(row['id']), row]))
  return ids.flatMap((id) => {
    const row = byId.get(id)
    return row === undefined ? [] : [row]
  })
}
