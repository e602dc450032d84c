import type { Figure } from './report.ts'
import { median } from './statistics.ts'

/**
 * Several runs of one workload as one: of each figure the median, the median of its limits, and its least and greatest
 * value. Figures that a run lacks count for the runs that have them.
 */
export function medianOfRuns(runs: readonly (readonly Figure[])[]): readonly Figure[] {
  const byName = Map.groupBy(runs.flat(), ({ name }) => name)
  return [...byName.values()].flatMap((figures) => {
    const [first] = figures
    if (!first || figures.length === 1) return figures
    const values = figures.map(({ value }) => value)
    const limits = figures.flatMap(({ limit }) => (limit ? [limit.value] : []))
    return {
      ...first,
      value: median(values),
      range: [Math.min(...values), Math.max(...values)] as const,
      ...(first.limit ? { limit: { ...first.limit, value: median(limits) } } : {}),
    }
  })
}
