import { expect, test } from 'vitest'
import { FewRows } from '../../server/search/few-rows.ts'
import { askNearest, type NearestOptions } from '../../server/search/nearest.ts'

const asked = {
  table: 'memories',
  column: 'embedding',
  condition: 't.tier = $1',
  values: ['hot'],
  vector: [1],
  limit: 3,
}

/** Searches where the planner expects so many rows and so many are there; the steps that it took. */
async function stepsOf(
  rows: { readonly expected: number; readonly there: number },
  options: NearestOptions,
  of = asked,
) {
  const steps: string[] = []
  await askNearest(
    async <R>({ text }: { readonly text: string }) => {
      steps.push(text.startsWith('explain') ? 'plan' : 'effort')
      return [{ 'QUERY PLAN': [{ Plan: { 'Plan Rows': rows.expected } }] }] as R[]
    },
    of,
    async ({ text }) => {
      const atMost = Number(/limit (\d+)/.exec(text)?.[1] ?? Infinity)
      steps.push(text.includes('order by') ? 'graph' : 'compare')
      return { answer: undefined, near: Math.min(rows.there, atMost) }
    },
    options,
  )
  return steps.join(' ')
}

function minute() {
  let now = 0
  const few = new FewRows({ monotonic: () => now })
  return { options: { few, exactRows: 100 }, pass: (ms: number) => (now += ms) }
}

test('a search of the same few rows asks the planner once in a minute', async () => {
  const { options, pass } = minute()
  expect(await stepsOf({ expected: 50, there: 50 }, options)).toBe('plan compare')
  pass(59_999)
  expect(await stepsOf({ expected: 50, there: 50 }, options)).toBe('compare')
  pass(60_000)
  expect(await stepsOf({ expected: 50, there: 50 }, options)).toBe('plan compare')
})

test('other values or another condition are other rows', async () => {
  const { options } = minute()
  await stepsOf({ expected: 50, there: 50 }, options)
  expect(await stepsOf({ expected: 5000, there: 5000 }, options, { ...asked, values: ['cold'] })).toBe(
    'plan effort graph',
  )
  expect(await stepsOf({ expected: 50, there: 50 }, options, { ...asked, condition: 't.scope = $1' })).toBe(
    'plan compare',
  )
})

test('few rows that have become more are compared once more, and then the planner is asked again', async () => {
  const { options } = minute()
  await stepsOf({ expected: 50, there: 50 }, options)
  expect(await stepsOf({ expected: 300, there: 300 }, options)).toBe('compare')
  expect(await stepsOf({ expected: 300, there: 300 }, options)).toBe('plan effort graph')
})

test('few rows that have become far too many are left to the graph at once', async () => {
  const { options } = minute()
  await stepsOf({ expected: 50, there: 50 }, options)
  expect(await stepsOf({ expected: 5000, there: 5000 }, options)).toBe('compare effort graph')
  expect(await stepsOf({ expected: 5000, there: 5000 }, options)).toBe('plan effort graph')
})
