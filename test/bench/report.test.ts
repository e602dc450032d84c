import { describe, expect, test } from 'vitest'
import { medianOfRuns } from '../../bench/repeat.ts'
import { format, judge, toJson, toTable, withRange, type Report } from '../../bench/report.ts'
import { median, percentile, summarize } from '../../bench/statistics.ts'
import { targets } from '../../bench/targets.ts'

describe('statistics', () => {
  test('takes percentiles by nearest rank, in any order of samples', () => {
    const samples = Array.from({ length: 100 }, (_, index) => 100 - index)
    expect(percentile(samples, 0.5)).toBe(50)
    expect(percentile(samples, 0.99)).toBe(99)
    expect(percentile(samples, 1)).toBe(100)
    expect(percentile(samples, 0)).toBe(1)
    expect(percentile([7], 0.99)).toBe(7)
  })

  test('sorts by value and not by text', () => expect(percentile([9, 10, 100], 0.5)).toBe(10))

  test('leaves the samples as they were', () => {
    const samples = [3, 1, 2]
    summarize(samples)
    median(samples)
    expect(samples).toEqual([3, 1, 2])
  })

  test('takes the middle, or the mean of the two in the middle', () => {
    expect(median([5, 1, 3])).toBe(3)
    expect(median([4, 1, 3, 2])).toBe(2.5)
  })

  test('says not-a-number where nothing was measured', () => {
    expect(percentile([], 0.5)).toBeNaN()
    expect(median([])).toBeNaN()
  })
})

describe('a verdict', () => {
  const lower = { better: 'lower', goal: 10, zero: 100, powersync: 50 } as const
  const higher = { better: 'higher', goal: 1000, zero: 10, powersync: null } as const

  test.each([
    [10, 'goal met'],
    [11, 'beats rivals'],
    [50, 'beats rivals'],
    [51, 'worse than a rival'],
    [Number.NaN, 'worse than a rival'],
  ])('of %d against the better rival at 50 and a goal of 10 is "%s"', (value, verdict) => {
    expect(judge({ value }, lower)).toBe(verdict)
  })

  test('turns round where more is better, and takes a rival that never ended for beaten', () => {
    expect(judge({ value: 1000 }, higher)).toBe('goal met')
    expect(judge({ value: 11 }, higher)).toBe('beats rivals')
    expect(judge({ value: 9 }, higher)).toBe('worse than a rival')
  })

  test('takes a goal relative to the limit of the same run', () => {
    const target = { better: 'lower', goal: { ofLimit: 1.5 } } as const
    expect(judge({ value: 14, limit: { what: 'raw', value: 10 } }, target)).toBe('goal met')
    expect(judge({ value: 16, limit: { what: 'raw', value: 10 } }, target)).toBe('misses goal')
  })

  test('is silent without a target', () => expect(judge({ value: 1 }, undefined)).toBe(''))
})

describe('several runs', () => {
  const figure = { name: 'time', what: 'until it was there', unit: 's' }
  const runs = [4, 3, 3.5].map((value) => [{ ...figure, value, limit: { what: 'COPY', value: 10 * value } }])

  test('are told by their median, with the range that they had and the median of their limits', () => {
    expect(medianOfRuns(runs)).toEqual([{ ...figure, value: 3.5, range: [3, 4], limit: { what: 'COPY', value: 35 } }])
    expect(medianOfRuns(runs).map(withRange)).toEqual(['3.5 s (3 to 4)'])
  })

  test('have no range when there is one', () => {
    expect(medianOfRuns(runs.slice(0, 1))).toEqual(runs[0])
    expect(withRange({ value: 0.4, unit: 's' })).toBe('0.4 s')
  })
})

describe('a report', () => {
  const report: Report = {
    at: '2026-11-22',
    command: 'npm run bench',
    machine: '2 cores',
    database: 'embedded',
    commit: 'abc',
    quick: false,
    results: [
      {
        workload: 'live-1',
        seconds: 3,
        figures: [
          { name: 'p50', what: 'latency p50', value: 2.345, unit: 'ms', limit: { what: 'raw ws', value: 0.5 } },
        ],
      },
      { workload: 'fan-out', seconds: 1, figures: [], error: 'no server\nand a stack' },
    ],
  }

  test('prints each figure beside its limit, goal and rivals', () => {
    const line =
      toTable(report)
        .split('\n')
        .find((text) => text.includes('live-1')) ?? ''
    expect(
      line
        .split('|')
        .map((cell) => cell.trim())
        .slice(1, -1),
    ).toEqual(['live-1', 'latency p50', '2.35 ms', '0.5 ms (raw ws)', '3 ms', '9 ms', '17 ms', 'goal met'])
  })

  test('names a workload that failed', () => expect(toTable(report)).toMatch(/fan-out +\| FAILED: no server +\|/))

  test('says when the sizes were small', () => {
    expect(toTable(report)).not.toContain('--quick')
    expect(toTable({ ...report, quick: true })).toContain('--quick')
  })

  test('is whole as JSON', () => {
    const json = JSON.parse(JSON.stringify(toJson(report))) as { results: { figures: unknown[]; error?: string }[] }
    expect(json.results[0]?.figures[0]).toMatchObject({
      value: 2.345,
      verdict: 'goal met',
      target: targets['live-1.p50'],
    })
    expect(json.results[1]?.error).toContain('no server')
  })

  test('formats three digits that count', () => {
    expect(format(1234.5, 'rows/s')).toBe('1,235 rows/s')
    expect(format(0.032_14, 's')).toBe('0.0321 s')
    expect(format(0, 'ms')).toBe('0 ms')
  })
})
