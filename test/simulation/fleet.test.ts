import { expect, test } from 'vitest'
import { runFleet, type Report } from './fleet.ts'
import { planOf } from './plan.ts'
import { regressions, save } from './regressions.ts'
import { seedsOf } from './seeds.ts'
import { kindOf, shrink } from './shrink.ts'
import { Tally } from './tally.ts'

/** Enough for everything in `mustHappen` to happen, many times over. */
const usual = 200

/** SEED=17 replays one and prints its tally; SEEDS=5000 runs so many, SEEDS=201-400 a range. */
const seeds = seedsOf(process.env, usual)

/** At most so many are made smaller and told: the rest has mostly the same cause. */
const mostFailures = 3

async function tellFailure(seed: number, { problems, tally }: Report): Promise<string> {
  const kinds = new Set(problems.map(kindOf))
  const plan = await shrink(planOf(seed), async (candidate) =>
    (await runFleet(candidate)).problems.some((problem) => kinds.has(kindOf(problem))),
  )
  const file = save({ why: problems[0] ?? '', shows: {}, plan })
  return [
    `seed ${seed}: ${problems.length} problems, replay with: SEED=${seed} npm test -- test/simulation/fleet.test.ts`,
    `  made smaller, from ${planOf(seed).steps.length} steps to ${plan.steps.length}: ${file}`,
    `  (commit it as test/simulation/regressions/<name>.json, with why it failed and what must happen in it)`,
    ...problems.slice(0, 8).map((problem) => `  ${problem}`),
    ...(seeds.length === 1 ? [`what happened:\n${String(tally)}`] : []),
  ].join('\n')
}

test.each(regressions())(
  'a fleet that once did not ends equal: %s',
  async (_name, { shows, plan }) => {
    const { problems, tally } = await runFleet(plan)
    expect(problems).toEqual([])
    for (const [what, times] of Object.entries(shows)) expect.soft(tally.of(what), what).toBeGreaterThanOrEqual(times)
  },
  60_000,
)

test(`fleets on a bad network end equal, from ${seeds.length} seeds`, async () => {
  const failures: string[] = []
  const total = new Tally()
  for (const seed of seeds) {
    const report = await runFleet(planOf(seed))
    total.include(report.tally)
    if (report.problems.length > 0) failures.push(await tellFailure(seed, report))
    if (failures.length >= mostFailures) break
  }
  if (seeds.length !== usual) process.stdout.write(`what happened in ${seeds.length} runs:\n${String(total)}\n`)
  expect(failures.join('\n\n')).toBe('')
  if (seeds.length >= usual) expect(total.missing, 'never happened').toEqual([])
}, 3_600_000)
