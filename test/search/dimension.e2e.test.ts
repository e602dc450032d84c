// A server whose embeddings have another dimension than the usual one.
import { connect } from '@tidewire/client'
import { expect, test } from 'vitest'
import { loadCatalog } from '../../server/catalog/catalog.ts'
import { loadConfig } from '../../server/config.ts'
import { startTestServer } from '../support/server.ts'

test('a server takes the vectors of its configured dimension from clients, and gives them back', async () => {
  const dimension = 768
  const { embedding } = loadConfig({ EMBEDDING_DIMENSION: String(dimension) })
  const home = await startTestServer({ config: { embedding } })
  const { schema } = loadCatalog(undefined, { embeddingDimension: dimension })
  const connectOne = async (name: string) => {
    const tide = await connect({
      url: home.url,
      token: await home.userToken(home.fixture.memberId),
      replica: { kind: 'memory' },
      device: { name, kind: 'cli' },
      schema,
    })
    await (
      await tide.subscribe({ organization: true }, { tables: ['memories'], embeddings: true })
    ).ready
    return tide
  }
  const [writer, reader] = [await connectOne('writer'), await connectOne('reader')]
  const vector = Float32Array.from({ length: dimension }, (_, index) => (index === 700 ? 1 : 0))
  const memories = writer['memories']
  const row = await memories?.insert({ scope: 'organization', content: 'Of 768 numbers', embedding: vector })
  expect(await row?.$write.outcome).toMatchObject({ kind: 'applied' })
  await row?.$write.wait('synced')
  for await (const rows of reader['memories']?.live({}) ?? []) if (rows.length > 0) break
  const hits = await reader.search('memories', { embedding: vector, mode: 'local' })
  expect([...hits]).toMatchObject([{ score: 1, row: { content: 'Of 768 numbers' } }])
  await writer.close()
  await reader.close()
  await home.close()
})
