import { afterAll, beforeAll, expect, test } from 'vitest'
import type { Json } from '../../protocol/rows/row.ts'
import { createActionWorld, type ActionWorld } from './world.ts'

let world: ActionWorld
let repositoryId: string
beforeAll(async () => {
  world = await createActionWorld()
  repositoryId = (await world.add('repositories', { project_id: world.fixture.projectId, owner: 'acme', name: 'app' }))
    .id
})
afterAll(() => world.close())

interface Stored {
  readonly analysis: Readonly<Record<string, Json>> & { readonly id: string }
}
const store = async (input: Readonly<Record<string, Json>>, who = world.agent) =>
  (await world.call(who, 'analyses.store', { repositoryId, kind: 'full', ...input })) as unknown as Stored
const files = (count: number, offset = 0) =>
  Array.from({ length: count }, (_, n) => ({
    path: `src/file-${offset + n}.ts`,
    lines: 100,
    complexityScore: n % 100,
    cyclomaticComplexity: n % 20,
  }))
const findings = (count: number) =>
  Array.from({ length: count }, (_, line) => ({ rule: 'no-any', line, message: 'any hides what a value is' }))

test('an analysis of 100,000 lines is stored within five minutes, and says how fast it was made', async () => {
  const startedAt = performance.now()
  const { analysis } = await store({ status: 'running', durationMs: 8000, files: files(500), findings: findings(5000) })
  const done = await store({
    analysisId: analysis.id,
    durationMs: 20_000,
    files: files(500, 500),
    findings: findings(5000),
    metrics: { debt: 4 },
  })
  expect(performance.now() - startedAt).toBeLessThan(5 * 60_000)
  expect(done.analysis).toMatchObject({
    id: analysis.id,
    status: 'completed',
    filesAnalyzed: 1000,
    linesAnalyzed: 100_000,
    durationMs: 20_000,
    linesPerSecond: 5000,
    metrics: { debt: 4 },
    finishedAt: expect.any(String),
  })
  expect(done.analysis['findings']).toHaveLength(10_000)
  const [sum] = await world.query(
    `select count(*)::int as files, sum(lines_of_code)::int as lines from complexity_metrics where factors->>'analysisId' = $1`,
    [analysis.id],
  )
  expect(sum).toEqual({ files: 1000, lines: 100_000 })
})

test('an analysis that has ended takes no more, and viewers store none', async () => {
  const { analysis } = await store({ durationMs: 1 })
  await expect(store({ analysisId: analysis.id, durationMs: 2 })).rejects.toMatchObject({ code: 'not_found' })
  await expect(store({ durationMs: 1 }, world.viewer)).rejects.toMatchObject({ code: 'forbidden' })
})
