/**
 * Searches memories by vector with the same call: on the server, and on the local replica with the network off.
 *
 *   TIDEWIRE_TOKEN=$(npx tidewire token --user ada@example.com) npx node examples/vector-search.ts
 *
 * The embedding here is a toy (hashed words), so that the example needs no model: put your own in its place.
 */
import { connect, type Client } from '@tidewire/client'
import { settings } from './settings.ts'

type Hits = Awaited<ReturnType<Client['memories']['search']>>

const dimension = 384
const notes = [
  'A staging deploy hangs when the VPN is down',
  'Lunch is at noon',
  'Deploys to production are frozen on Fridays',
]

function embed(text: string): Float32Array {
  const vector = new Float32Array(dimension)
  for (const word of text.toLowerCase().match(/[a-z]+/g) ?? []) {
    let hash = 0
    for (const letter of word) hash = (Math.imul(hash, 31) + letter.charCodeAt(0)) >>> 0
    vector[hash % dimension] = (vector[hash % dimension] ?? 0) + 1
  }
  return vector
}

function show(title: string, hits: Hits): void {
  console.log(`${title}:`)
  for (const { score, row } of hits) console.log(`  ${score.toFixed(3)} ${row.content}`)
}

const { url, token } = settings()
const tide = await connect({ url, token, replica: { kind: 'memory' }, device: { name: 'vector-search', kind: 'cli' } })
const organization = await tide.subscribe({ organization: true }, { tables: ['memories'], embeddings: true })
await organization.ready

for (const content of notes) {
  if ((await tide.memories.find({ where: { content, scope: 'organization' }, limit: 1 })).length > 0) continue
  await tide.memories.insert({ content, scope: 'organization', embedding: embed(content), embeddingModel: 'toy-hash' })
}
await tide.synced()

const query = {
  embedding: embed('why does the staging deploy hang'),
  where: { scope: 'organization' },
  limit: 3,
} as const
show('On the server', await tide.memories.search({ ...query, mode: 'server' }))
tide.disconnect()
show('Here, without a network', await tide.memories.search({ ...query, mode: 'local' }))
await tide.close()
