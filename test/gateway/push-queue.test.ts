import { expect, test } from 'vitest'
import type { Mutation, Outcome } from '../../protocol/messages/mutation.ts'
import { InputBudget } from '../../server/gateway/input-budget.ts'
import { PushQueue } from '../../server/gateway/push-queue.ts'
import { TideError } from '../../protocol/error.ts'
import { newId } from '../support/fixtures.ts'

const push = (...counters: readonly number[]) => ({
  type: 'push' as const,
  mutations: counters.map((clientSeq): Mutation => ({
    id: newId(),
    clientSeq,
    table: 'tasks',
    rowId: newId(),
    op: 'patch',
    at: 0,
  })),
})

/** A queue over a store of which each transaction ends when the test says so. */
function openQueue() {
  const transactions: { readonly counters: readonly number[]; readonly end: PromiseWithResolvers<void> }[] = []
  const answers: (readonly number[])[] = []
  const refusals: unknown[] = []
  const queue = new PushQueue({
    limits: { queuedPushes: 8, pushMutations: 100 },
    input: new InputBudget(60),
    async push(mutations) {
      const end = Promise.withResolvers<void>()
      transactions.push({ counters: mutations.map(({ clientSeq }) => clientSeq), end })
      await end.promise
      return mutations.map(({ id, clientSeq }): Outcome => ({ mutationId: id, clientSeq, kind: 'applied' }))
    },
    answered: (outcomes) => answers.push(outcomes.map(({ clientSeq }) => clientSeq)),
    refused: (error) => refusals.push(error),
    overrun: (error) => refusals.push(error),
  })
  const counters = () => transactions.map((transaction) => transaction.counters)
  const end = async (error?: Error) => {
    const last = transactions.at(-1)?.end
    if (error) last?.reject(error)
    else last?.resolve()
    await new Promise((resolve) => setImmediate(resolve))
  }
  return { queue, counters, answers, refusals, end }
}

test('the first push is applied at once, and those that come meanwhile go together, each with an answer of its own', async () => {
  const { queue, counters, answers, end } = openQueue()
  for (const one of [push(1, 2), push(3), push(4, 5), push(6)]) queue.add(one, 10)
  expect(counters()).toEqual([[1, 2]])
  await end()
  expect(counters()).toEqual([
    [1, 2],
    [3, 4, 5, 6],
  ])
  await end()
  expect(answers).toEqual([[1, 2], [3], [4, 5], [6]])
})

test('at most four pushes go together', async () => {
  const { queue, counters, end } = openQueue()
  for (const counter of [1, 2, 3, 4, 5, 6]) queue.add(push(counter), 10)
  await end()
  await end()
  expect(counters()).toEqual([[1], [2, 3, 4, 5], [6]])
})

test('a push that repeats an earlier one goes alone, after its answer', async () => {
  const { queue, counters, end } = openQueue()
  for (const one of [push(1), push(2), push(2), push(3)]) queue.add(one, 10)
  await end()
  await end()
  expect(counters()).toEqual([[1], [2], [2, 3]])
})

test('pushes that were refused together are refused once, with all that wait behind them', async () => {
  const { queue, counters, answers, refusals, end } = openQueue()
  for (const counter of [1, 2, 3, 4, 5, 6]) queue.add(push(counter), 10)
  await end()
  await end(new TideError('timeout', 'The database does not answer.'))
  expect(refusals).toMatchObject([{ code: 'timeout' }])
  expect(answers).toEqual([[1]])
  queue.add(push(2), 10)
  expect(counters()).toEqual([[1], [2, 3, 4, 5], [2]])
})

test('pushes that wait hold only so many bytes; then the connection has to begin anew', async () => {
  const { queue, refusals, end } = openQueue()
  for (const counter of [1, 2, 3, 4, 5, 6]) queue.add(push(counter), 10)
  expect(refusals).toEqual([])
  queue.add(push(7), 10)
  expect(refusals).toMatchObject([{ code: 'rate_limited' }])
  await end()
  await end()
  await end()
  queue.add(push(7), 60)
  expect(refusals).toHaveLength(1)
})
