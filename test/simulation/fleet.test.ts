import { expect, test } from 'vitest'
import { runFleet } from './fleet.ts'
import regressions from './regressions.json' with { type: 'json' }

/** SEED=17 replays one; SEEDS=5000 runs more; SEED_FROM moves the range. */
const { SEED, SEEDS = '200', SEED_FROM = '1' } = process.env
const seeds =
  SEED === undefined ? Array.from({ length: Number(SEEDS) }, (_, index) => Number(SEED_FROM) + index) : [Number(SEED)]

async function failuresOf(list: readonly number[]): Promise<readonly string[]> {
  const failures: string[] = []
  for (const seed of list) {
    const problems = await runFleet(seed)
    if (problems.length > 0)
      failures.push(
        `seed ${seed}: ${problems.length} problems, replay with: SEED=${seed} npm test -- test/simulation\n  ${problems.slice(0, 8).join('\n  ')}`,
      )
    if (failures.length >= 3) break
  }
  return failures
}

test('seeds that once failed pass', async () => {
  expect(await failuresOf(regressions)).toEqual([])
}, 600_000)

test(`fleets on a bad network end equal, from ${seeds.length} seeds`, async () => {
  expect(await failuresOf(seeds)).toEqual([])
}, 3_600_000)
