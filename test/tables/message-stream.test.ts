import { expect, test } from 'vitest'
import type { Client } from '../../client-sdk/client.ts'
import { shippedSchema } from '../../client-sdk/schema.generated.ts'
import { createMemoryStore } from '../../client-sdk/store/memory-store.ts'
import { newId } from '../support/fixtures.ts'
import { lonelyClient } from '../support/lonely-client.ts'
import { ManualClock, settled } from '../support/manual-clock.ts'

const conversationId = newId()

async function opened(): Promise<{ readonly tide: Client; readonly clock: ManualClock; readonly id: string }> {
  const clock = new ManualClock()
  const tide = await lonelyClient(undefined, undefined, clock)
  const { id } = await tide.messages.insert({ conversationId, role: 'assistant', status: 'streaming' })
  return { tide, clock, id }
}

test('a message grows soon after it is written to, four times a second at most, and is complete at the end', async () => {
  const { tide, clock, id } = await opened()
  const shown = async (): Promise<string | undefined> => (await tide.messages.get(id))?.content
  const stream = await tide.messages.stream(id)
  stream.write('One')
  await clock.advance(0)
  expect(await shown()).toBe('One')
  stream.write(' two')
  stream.write(' three')
  await clock.advance(200)
  expect(await shown()).toBe('One')
  await clock.advance(50)
  expect(await shown()).toBe('One two three')
  expect(stream.text).toBe('One two three')
  // Nothing was sent: all of it is the one write that inserts the message.
  expect(await tide.writes.find()).toHaveLength(1)
  stream.write('.')
  await stream.end({ model: 'small', outputTokens: 3, toolCalls: [{ name: 'none' }] })
  expect(await tide.messages.get(id)).toMatchObject({
    content: 'One two three.',
    status: 'complete',
    model: 'small',
    outputTokens: 3,
    toolCalls: [{ name: 'none' }],
  })
  expect(() => stream.write('more')).toThrow('has ended')
  await expect(stream.end()).rejects.toMatchObject({ code: 'closed' })
  await expect(tide.messages.stream(id)).rejects.toMatchObject({ code: 'invalid_value' })
  await tide.close()
})

test('a long text is shown less often, and has an end', async () => {
  const { tide, clock, id } = await opened()
  const stream = await tide.messages.stream(id)
  stream.write('x'.repeat(100_000))
  await clock.advance(0)
  stream.write('y')
  await clock.advance(4_900)
  expect((await tide.messages.get(id))?.content).toHaveLength(100_000)
  await clock.advance(200)
  expect((await tide.messages.get(id))?.content).toHaveLength(100_001)
  expect(() => stream.write('x'.repeat(300_000))).toThrow(expect.objectContaining({ code: 'message_too_large' }))
  expect(stream.text).toHaveLength(100_001)
  await stream.end()
  await tide.close()
})

test('a stream that failed keeps its text, and an end that cannot be is no end', async () => {
  const { tide, id } = await opened()
  const stream = await tide.messages.stream(id)
  stream.write('Half a sen')
  // @ts-expect-error Tokens are counted.
  await expect(stream.end({ outputTokens: 'many' })).rejects.toMatchObject({ code: 'invalid_value' })
  await stream.fail({ finishReason: 'error' })
  expect(await tide.messages.get(id)).toMatchObject({ content: 'Half a sen', status: 'failed', finishReason: 'error' })
  await tide.close()
})

test('what was written is kept when the client is closed, and goes on from there', async () => {
  const store = createMemoryStore(shippedSchema)
  const open = (): Promise<Client> =>
    lonelyClient({
      load: () => store.load(),
      rows: (table, ids) => store.rows(table, ids),
      query: (table, query) => store.query(table, query),
      commit: (commit) => store.commit(commit),
      staged: (subscription, table, ids) => store.staged(subscription, table, ids),
      nearest: (table, request) => store.nearest(table, request),
      // It is opened again.
      close: async () => undefined,
    })
  const first = await open()
  const { id } = await first.messages.insert({ conversationId, role: 'assistant', status: 'pending' })
  const stream = await first.messages.stream(id)
  stream.write('One')
  await first.close()
  expect(() => stream.write('lost')).toThrow('has ended')
  const second = await open()
  const again = await second.messages.stream(id)
  expect(again.text).toBe('One')
  again.write(' two')
  await again.end()
  expect(await second.messages.get(id)).toMatchObject({ content: 'One two', status: 'complete' })
  await second.close()
})

test('only a message that is here and has not ended can be streamed, and only by a stream', async () => {
  const { tide, id } = await opened()
  await expect(tide.messages.stream(newId())).rejects.toMatchObject({ code: 'not_found' })
  const done = await tide.messages.insert({ conversationId, role: 'user', content: 'Hello' })
  await expect(tide.messages.stream(done.id)).rejects.toMatchObject({ code: 'invalid_value' })
  // @ts-expect-error The content of a message is fixed.
  await expect(tide.messages.update(id, { content: 'x' })).rejects.toMatchObject({ code: 'unknown_column' })
  // @ts-expect-error Only messages are streamed.
  void (tide.tasks.stream satisfies unknown)
  await settled()
  await tide.close()
})
