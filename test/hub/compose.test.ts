import { expect, test } from 'vitest'
import { packedToRows } from '../../protocol/rows/block-codec.ts'
import { composeParts, type Part, type Voice } from '../../server/hub/compose.ts'
import type { Change } from '../../server/hub/feed.ts'
import type { Hit } from '../../server/hub/route.ts'
import { change, row, tables, tasks } from './changes.ts'

const roomy = { partRows: 1000, partBytes: 1_000_000 }

function voice(embeddings: boolean, ...hits: readonly (readonly [Change, Hit['verdict']])[]): Voice {
  return { embeddings, hits: hits.map(([one, verdict]) => ({ change: one, verdict })) }
}

const rowsOf = (parts: readonly Part[]) =>
  parts.flatMap(({ blocks }) => blocks.flatMap((block) => packedToRows(tasks, block)))
const idsOf = (parts: readonly Part[]) => rowsOf(parts).map((one) => one['id'])
const deletesOf = (parts: readonly Part[]) => parts.flatMap(({ deletes }) => deletes)

test('nothing to say is one empty part', () => {
  expect(composeParts([], tables, roomy)).toEqual([{ blocks: [], deletes: [] }])
})

test('a row that one upserts and another deletes is upserted once', () => {
  const one = change(1)
  for (const voices of [
    [voice(false, [one, 'upsert']), voice(false, [one, 'delete'])],
    [voice(false, [one, 'delete']), voice(false, [one, 'upsert'])],
  ]) {
    const parts = composeParts(voices, tables, roomy)
    expect(idsOf(parts)).toEqual([one.id])
    expect(deletesOf(parts)).toEqual([])
  }
})

test('a row has vectors if one of those who upsert it wants them', () => {
  const one = change(1)
  const vectorOf = (voices: readonly Voice[]) => rowsOf(composeParts(voices, tables, roomy))[0]?.['embedding']
  expect(vectorOf([voice(false, [one, 'upsert']), voice(true, [one, 'upsert'])])).toEqual(new Float32Array([1, 2]))
  expect(vectorOf([voice(false, [one, 'upsert']), voice(true, [one, 'delete'])])).toBeNull()
})

test('many rows go in parts that keep the limit, none lost, none twice', () => {
  const changes = Array.from({ length: 23 }, (_, index) => change(index + 1))
  const voices = [voice(false, ...changes.map((one, index) => [one, index % 4 === 0 ? 'delete' : 'upsert'] as const))]
  const parts = composeParts(voices, tables, { partRows: 5, partBytes: 1_000_000 })
  for (const { blocks, deletes } of parts) {
    const rows =
      blocks.reduce((sum, { block }) => sum + block.count, 0) + deletes.reduce((sum, { ids }) => sum + ids.length, 0)
    expect(rows).toBeGreaterThan(0)
    expect(rows).toBeLessThanOrEqual(5)
  }
  const told = [...idsOf(parts).map(String), ...deletesOf(parts).flatMap(({ ids }) => ids)]
  expect(told.toSorted()).toEqual(changes.map(({ id }) => id).toSorted())
})

test('big rows go in parts of their own', () => {
  const changes = [1, 2, 3].map((number) => change(number, { row: row(number, { status: 'x'.repeat(1000) }) }))
  const parts = composeParts([voice(false, ...changes.map((one) => [one, 'upsert'] as const))], tables, {
    partRows: 1000,
    partBytes: 900,
  })
  expect(parts.map(({ blocks }) => blocks.length)).toEqual([1, 1, 1])
})
