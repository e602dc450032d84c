import { expect, test } from 'vitest'
import { Batcher } from '../../lib/batcher.ts'

/** Reads that end when told, and what each was asked. */
function reads(): {
  readonly asked: (readonly number[])[]
  readonly ends: (() => void)[]
  readonly read: (questions: readonly number[]) => Promise<readonly string[]>
} {
  const asked: (readonly number[])[] = []
  const ends: (() => void)[] = []
  return {
    asked,
    ends,
    async read(questions) {
      asked.push(questions)
      await new Promise<void>((resolve) => ends.push(resolve))
      if (questions.includes(13)) throw new Error('thirteen')
      return questions.map(String)
    },
  }
}

async function endAll(ends: (() => void)[]): Promise<void> {
  for (let turn = 0; turn < 20; turn++) {
    ends.shift()?.()
    await Promise.resolve()
    await new Promise((resolve) => setImmediate(resolve))
  }
}

test('what is asked during a read waits for the next one, together', async () => {
  const { asked, ends, read } = reads()
  const batcher = new Batcher(read)
  const answers = [1, 2, 3].map((question) => batcher.ask(question))
  expect(asked).toEqual([[1]])
  await endAll(ends)
  expect(await Promise.all(answers)).toEqual(['1', '2', '3'])
  expect(asked).toEqual([[1], [2, 3]])
})

test('a read takes no more than it may', async () => {
  const { asked, ends, read } = reads()
  const batcher = new Batcher(read, 2)
  const answers = [1, 2, 3, 4].map((question) => batcher.ask(question))
  await endAll(ends)
  await Promise.all(answers)
  expect(asked).toEqual([[1], [2, 3], [4]])
})

test('a question that fails fails alone', async () => {
  const { ends, read } = reads()
  const batcher = new Batcher(read)
  const answers = Promise.allSettled([1, 12, 13, 14].map((question) => batcher.ask(question)))
  await endAll(ends)
  expect((await answers).map(({ status }) => status)).toEqual(['fulfilled', 'fulfilled', 'rejected', 'fulfilled'])
})
