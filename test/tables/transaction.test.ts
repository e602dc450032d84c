import { expect, test } from 'vitest'
import { newId } from '../support/fixtures.ts'
import { lonelyClient } from '../support/lonely-client.ts'

const projectId = newId()

test.each(['returned', 'thrown'] as const)(
  'what is asked of a transaction after its function has %s is refused, and not lost in silence',
  async (how) => {
    const tide = await lonelyClient()
    const task = await tide.tasks.insert({ projectId, title: 'There' })
    const late = Promise.withResolvers<void>()
    const calls: Promise<unknown>[] = []
    const done = tide.transaction(async (tx) => {
      await tx.tasks.update(task.id, { title: 'In time' })
      calls.push(
        late.promise.then(() => tx.tasks.insert({ projectId, title: 'Late' })),
        late.promise.then(() => tx.tasks.update(task.id, { title: 'Late' })),
      )
      if (how === 'thrown') throw new Error('enough')
    })
    if (how === 'thrown') await expect(done).rejects.toThrow('enough')
    else expect(await done).toHaveLength(1)
    late.resolve()
    for (const call of await Promise.allSettled(calls))
      expect(call).toMatchObject({ status: 'rejected', reason: { code: 'closed' } })
    expect((await tide.tasks.find()).map(({ title }) => title)).toEqual([how === 'thrown' ? 'There' : 'In time'])
    await tide.close()
  },
)
