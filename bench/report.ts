import { targets, type Target } from './targets.ts'

/** One number that a workload measured. */
export interface Figure {
  /** Unique within its workload; `targets.ts` knows some as `workload.figure`. */
  readonly name: string
  /** What was measured, in words. */
  readonly what: string
  readonly value: number
  readonly unit: string
  /** The least and the greatest of several runs, of which `value` is the median. Absent: one run. */
  readonly range?: readonly [least: number, greatest: number]
  /** The physical limit, measured in the same run and in the same unit. */
  readonly limit?: { readonly what: string; readonly value: number }
}

/** What one workload came to; `error`: it did not end. */
export interface Result {
  readonly workload: string
  readonly figures: readonly Figure[]
  readonly seconds: number
  readonly error?: string
}

export interface Report {
  readonly at: string
  readonly command: string
  readonly machine: string
  readonly database: string
  readonly commit: string
  /** True: sizes were small, the figures prove only that everything runs. */
  readonly quick: boolean
  readonly results: readonly Result[]
}

/** Better and worse than what, in order of what it says about us. */
export type Verdict = 'goal met' | 'beats rivals' | 'worse than a rival' | 'misses goal' | ''

/**
 * Holds a figure against its target. Rivals count for more than the goal: worse than the better rival is the one thing
 * that must not be.
 */
export function judge(figure: Pick<Figure, 'value' | 'limit'>, target: Target | undefined): Verdict {
  if (!target) return ''
  const isAsGood = (than: number): boolean => (target.better === 'lower' ? figure.value <= than : figure.value >= than)
  const rivals = [target.zero, target.powersync].filter((value) => typeof value === 'number')
  if (!Number.isFinite(figure.value) || !rivals.every(isAsGood))
    return rivals.length > 0 ? 'worse than a rival' : 'misses goal'
  const goal = goalOf(figure, target)
  if (goal !== undefined && isAsGood(goal)) return 'goal met'
  if (rivals.length > 0 || target.zero === null) return 'beats rivals'
  return goal === undefined ? '' : 'misses goal'
}

function goalOf(figure: Pick<Figure, 'limit'>, target: Target): number | undefined {
  if (typeof target.goal !== 'object') return target.goal
  return figure.limit && figure.limit.value * target.goal.ofLimit
}

/** Every figure of a report as JSON-ready data, with its target and verdict. */
export function toJson(report: Report): object {
  const results = report.results.map((result) => ({
    ...result,
    figures: result.figures.map((figure) => {
      const target = targets[`${result.workload}.${figure.name}`]
      return { ...figure, ...(target ? { target } : {}), verdict: judge(figure, target) }
    }),
  }))
  return { ...report, results }
}

/** The report as Markdown: what ran where, then one line per figure. */
export function toTable(report: Report): string {
  const rows = report.results.flatMap((result) =>
    result.error === undefined ? figureRows(result) : [[result.workload, `FAILED: ${firstLine(result.error)}`]],
  )
  const head = ['workload', 'figure', 'measured', 'limit in this run', 'goal', 'Zero', 'PowerSync', 'verdict']
  const quick = report.quick ? '\nSmall sizes (--quick): these figures prove only that everything runs.\n' : ''
  return `${report.at} · ${report.machine} · ${report.database} · ${report.commit}\n\`${report.command}\`\n${quick}\n${markdownTable([head, ...rows])}\n`
}

function figureRows({ workload, figures }: Result): readonly (readonly string[])[] {
  return figures.map((figure) => {
    const target = targets[`${workload}.${figure.name}`]
    const goal = target && goalOf(figure, target)
    const limit = figure.limit ? `${format(figure.limit.value, figure.unit)} (${figure.limit.what})` : ''
    const inUnit = (value: number | null | undefined): string =>
      value === null ? 'never' : value === undefined ? '' : format(value, figure.unit)
    return [
      workload,
      figure.what,
      withRange(figure),
      limit,
      inUnit(goal),
      inUnit(target?.zero),
      inUnit(target?.powersync),
      judge(figure, target),
    ]
  })
}

/** The figure, and where its runs lie when there are several: `0.35 s (0.33 to 0.41)`. */
export function withRange({ value, unit, range }: Pick<Figure, 'value' | 'unit' | 'range'>): string {
  return range ? `${format(value, unit)} (${format(range[0], '')} to ${format(range[1], '')})` : format(value, unit)
}

/** Three digits that count, thousands apart: `1,234 rows/s`, `0.0321 s`. */
export function format(value: number, unit: string): string {
  const digits =
    Math.abs(value) >= 100 ? Math.round(value).toLocaleString('en-US') : String(Number(value.toPrecision(3)))
  return `${digits} ${unit}`.trim()
}

function markdownTable([head = [], ...rows]: readonly (readonly string[])[]): string {
  const widths = head.map((_, column) => Math.max(3, ...[head, ...rows].map((row) => row[column]?.length ?? 0)))
  const line = (row: readonly string[]): string =>
    `| ${widths.map((width, column) => (row[column] ?? '').padEnd(width)).join(' | ')} |`
  return [line(head), line(widths.map((width) => '-'.repeat(width))), ...rows.map(line)].join('\n')
}

function firstLine(text: string): string {
  return text.split('\n', 1)[0] ?? ''
}
