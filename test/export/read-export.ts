import { expect } from 'vitest'
import type { ExportLine } from '../../client-sdk/export/export-line.ts'
import type { Json } from '../../protocol/rows/row.ts'

/** The lines of an export, which must be whole. */
export async function linesOf(stream: ReadableStream<Uint8Array<ArrayBuffer>>): Promise<readonly ExportLine[]> {
  const text = await new Response(stream).text()
  expect(text.endsWith('\n')).toBe(true)
  const lines = text
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as ExportLine)
  expect(lines[0]).toMatchObject({ kind: 'replica', format: 'tidewire-replica', version: 1 })
  expect(lines.at(-1)).toMatchObject({ kind: 'end', lines: lines.length - 1 })
  return lines
}

type ExportedRow = Extract<ExportLine, { readonly kind: 'row' }>

/** What a reader of all lines has in the end. */
export function rowsOf(lines: readonly ExportLine[], table: string): readonly ExportedRow[] {
  const rows = new Map<Json | undefined, ExportedRow>()
  for (const line of lines) {
    if (!('table' in line) || line.table !== table) continue
    if (line.kind === 'row') rows.set(line.row['id'], line)
    else if (line.kind === 'gone') rows.delete(line.id)
    else rows.clear()
  }
  return [...rows.values()]
}
