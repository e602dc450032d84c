import { calm } from './sim-network.ts'
import type { Plan } from './plan.ts'

/**
 * A smaller plan that still fails: whole stretches of steps go first, then ever shorter ones, then the weather. `runs`
 * bounds how often `fails` is asked.
 */
export async function shrink(plan: Plan, fails: (plan: Plan) => Promise<boolean>, runs = 200): Promise<Plan> {
  let smallest = plan
  let left = runs
  const attempt = async (candidate: Plan): Promise<boolean> => {
    if (left === 0) return false
    left -= 1
    if (!(await fails(candidate))) return false
    smallest = candidate
    return true
  }
  await attempt({ ...smallest, weather: calm, deathChance: 0 })
  await attempt({ ...smallest, deathChance: 0 })
  for (const who of new Set(plan.steps.map(([, name]) => name)))
    await attempt({ ...smallest, steps: smallest.steps.filter(([, name]) => name !== who) })
  for (let size = Math.ceil(smallest.steps.length / 2); size >= 1 && left > 0; size = Math.floor(size / 2)) {
    for (let start = smallest.steps.length - size; start > -size && left > 0; start -= size)
      await attempt({ ...smallest, steps: smallest.steps.toSpliced(Math.max(0, start), size + Math.min(0, start)) })
  }
  const end = (smallest.steps.at(-1)?.[0] ?? 0) + 100
  if (end < smallest.stormMs) await attempt({ ...smallest, stormMs: end })
  return smallest
}

/** A problem without what differs from run to run: ids, numbers, values. */
export function kindOf(problem: string): string {
  return problem
    .replaceAll(/[0-9a-f]{8}-[0-9a-f-]{27}/gu, '#')
    .replaceAll(/".*?"/gu, '""')
    .replaceAll(/\d+/gu, '0')
    .slice(0, 60)
}
