/**
 * Searches memories by vector with the same call: on the server, and on the local replica with the network off.
 *
 *   TIDEWIRE_TOKEN=$(npx tidewire token --user ada@example.com) npx node examples/vector-search.ts
 *
 * The embedding here is a toy (hashed words), so that the example needs no model: put your own in its place.
 */
import { connect } from '@tidewire/client'
import { settings } from './settings.ts'

const dimension = 384

function embed(text: string): Float32Array {
  const vector = new Float32Array(dimension)
  for (const word of text.toLowerCase().match(/[a-z]+/g) ?? []) {
    let hash = 0
    for (const letter of word) hash = (Math.imul(hash, 31) + letter.charCodeAt(0)) >>> 0
    vector[hash % dimension] = (vector[hash % dimension] ?? 0) + 1
  }
  return vector
}

const { url, token } = settings()
const tide = await connect({ url, token, replica: { kind: 'memory' }, device: { name: 'vector-search', kind: 'cli' } })
const organization = await tide.subscribe({ organization: true }, { tables: ['memories'], embeddings: true })
await organization.ready

for (const content of ['The staging deploy needs the VPN', 'Lunch is at noon', 'The deploy of staging fails without a network tunnel']) {
  const memory = await tide.memories.insert({ content, scope: 'organization', embedding: embed(content), embeddingModel: 'toy-hash' })
  await memory.$write.wait('synced')
}

const query = embed('why does the staging deploy fail')
const remote = await tide.memories.search({ embedding: query, mode: 'server', limit: 3 })
console.log('server:')
for (const hit of remote) console.log(`  ${hit.score.toFixed(3)} ${hit.row.content}`)

tide.disconnect()
const local = await tide.memories.search({ embedding: query, mode: 'local', limit: 3 })
console.log('local, offline:')
for (const hit of local) console.log(`  ${hit.score.toFixed(3)} ${hit.row.content}`)
await tide.close()
