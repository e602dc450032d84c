import { expect, test } from 'vitest'
import { shippedSchema } from '../../client-sdk/schema.generated.ts'
import { createMemoryStore } from '../../client-sdk/store/memory-store.ts'
import { newId } from '../support/fixtures.ts'
import { lonelyClient } from '../support/lonely-client.ts'

const [memoryId, userId, organizationId] = [newId(), newId(), newId()]
const preference = { userId, category: 'editor', key: 'theme', value: 'dark' } as const

test('an insert in a transaction answers the id that the row will have, where it follows from the values', async () => {
  const tide = await lonelyClient()
  let id = ''
  await tide.transaction(async (tx) => {
    id = (await tx.memoryTags.insert({ memoryId, tag: 'deploy' })).id
  })
  expect(await tide.memoryTags.get(id)).toMatchObject({ memoryId, tag: 'deploy' })
  expect((await tide.memoryTags.insert({ memoryId, tag: 'deploy', id })).id).toBe(id)
})

test('another id than the one that follows from the values is refused', async () => {
  const tide = await lonelyClient()
  const tag = { id: newId(), memoryId, tag: 'deploy' }
  await expect(tide.memoryTags.insert(tag)).rejects.toMatchObject({ code: 'invalid_value' })
  const inTransaction = tide.transaction(async (tx) => void (await tx.memoryTags.insert(tag)))
  await expect(inTransaction).rejects.toMatchObject({ code: 'invalid_value' })
  expect(await tide.memoryTags.find()).toEqual([])
})

test('an id that follows from the organization is not guessed while that is unknown', async () => {
  const tide = await lonelyClient()
  const unknown = { code: 'offline', remedy: expect.stringContaining('Connect once') }
  await expect(tide.userPreferences.insert(preference)).rejects.toMatchObject(unknown)
  // Whoever does not look at the insert is told by the transaction.
  const careless = tide.transaction(async (tx) => void tx.userPreferences.insert(preference))
  await expect(careless).rejects.toMatchObject(unknown)
  const store = createMemoryStore(shippedSchema)
  await store.commit({ meta: { organizationId, principal: { kind: 'user', id: userId } } })
  const known = await lonelyClient(store)
  const row = await known.userPreferences.insert(preference)
  const [again] = await known.transaction(async (tx) => {
    expect((await tx.userPreferences.insert(preference)).id).toBe(row.id)
  })
  expect(again?.status).toBe('local')
})
