// Rows that wait for an embedding get it from a service over HTTP.
import { createServer, type Server } from 'node:http'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { systemClock } from '../../lib/clock.ts'
import { systemRandom } from '../../lib/random.ts'
import { loadCatalog } from '../../server/catalog/catalog.ts'
import { embedRows, settleEmbedding } from '../../server/maintenance/embedding/embed-rows.ts'
import { createHttpProvider } from '../../server/maintenance/embedding/provider.ts'
import { silentLog } from '../../server/telemetry/telemetry.ts'
import { createWorld, insert, rowOf, type SqlRow, type World } from '../migrations/rows.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'

interface Asked {
  readonly authorization: string | undefined
  readonly model: string
  readonly input: readonly string[]
}

let db: TestDatabase
let world: World
let service: Server
let url = ''
let asked: Asked[] = []
/** Answers of the next requests; afterwards all is well. */
let troubles: number[] = []
/** Of the service, about a request that it refuses. */
const usualWords = (): string => JSON.stringify({ error: { message: 'no', type: 'invalid_request_error' } })
let wordsOf: (request: Asked) => string = usualWords
const catalog = loadCatalog()

/** Of 384 dimensions, and told apart by its first. */
const vectorOf = (text: string): readonly number[] => [text.length, ...Array.from({ length: 383 }, () => 0.5)]

beforeAll(async () => {
  db = await createTestDatabase()
  world = await createWorld(db.database.pool)
  service = createServer((request, response) => {
    const parts: Buffer[] = []
    request.on('data', (part: Buffer) => parts.push(part))
    request.on('end', () => {
      const { model, input } = JSON.parse(Buffer.concat(parts).toString()) as Omit<Asked, 'authorization'>
      const heard = { authorization: request.headers.authorization, model, input }
      asked.push(heard)
      const status = troubles.shift() ?? (input.some((text) => text.includes('poison')) ? 400 : 200)
      response.writeHead(status, { 'content-type': 'application/json' })
      const data = input.map((text, index) => ({ index, embedding: vectorOf(text) })).toReversed()
      response.end(status === 200 ? JSON.stringify({ data }) : wordsOf(heard))
    })
  })
  await new Promise<void>((resolve) => service.listen(0, '127.0.0.1', resolve))
  const address = service.address()
  url = `http://127.0.0.1:${typeof address === 'object' ? address?.port : 0}/v1/embeddings`
})
afterAll(async () => {
  service.close()
  await db.close()
})
beforeEach(async () => {
  asked = []
  troubles = []
  wordsOf = usualWords
  await db.database.pool.query('delete from memories')
  await db.database.pool.query('delete from knowledge_entries')
  await db.database.pool.query('delete from maintenance_runs')
})

const never = new AbortController().signal
const settle = (provider: string, model?: string) =>
  settleEmbedding({ pool: db.database.pool, catalog, provider, model, log: silentLog, signal: never })
const embed = (model = 'small', batch = 64) =>
  embedRows({
    pool: db.database.pool,
    catalog,
    signal: never,
    batch,
    provider: createHttpProvider({
      url,
      key: 'k-1',
      model,
      dimension: 384,
      clock: systemClock,
      random: systemRandom,
      retryMs: 1,
    }),
  })
const remember = (content: string, more: SqlRow = {}) =>
  insert(db.database.pool, 'memories', { organization_id: world.organization, scope: 'organization', content, ...more })
const read = (row: SqlRow, table = 'memories') => rowOf(db.database.pool, table, String(row['id']))
const runs = async () =>
  (
    await db.database.pool.query(
      `select status, rows_affected::int as rows, details, error_message from maintenance_runs where kind = 'embedding'`,
    )
  ).rows

describe('a memory without embedding', () => {
  test('waits for none while nobody makes them, and for one when somebody does', async () => {
    await settle('none')
    const early = await remember('early')
    expect(early).toMatchObject({ embedding_status: 'skipped' })
    await settle('openai', 'small')
    expect(await read(early)).toMatchObject({ embedding_status: 'pending' })
    const later = await remember('later')
    expect(later).toMatchObject({ embedding_status: 'pending' })
    await settle('none')
    expect(await read(later)).toMatchObject({ embedding_status: 'skipped' })
  })

  test('gets one, with the model that made it, and so does knowledge', async () => {
    await settle('openai', 'small')
    const memories = [await remember('one', { title: 'T' }), await remember('four'), await remember('fifteen')]
    const lesson = await insert(db.database.pool, 'knowledge_entries', {
      organization_id: world.organization,
      scope: 'organization',
      entry_type: 'lesson',
      title: 'L',
      content: 'learned',
    })
    expect(await embed('small', 2)).toEqual({ embedded: 4, failed: [] })
    expect(asked.map(({ input }) => input.length)).toEqual([1, 2, 1])
    expect(asked[0]).toMatchObject({ authorization: 'Bearer k-1', model: 'small', input: ['L\n\nlearned'] })
    for (const [index, text] of ['T\n\none', 'four', 'fifteen'].entries()) {
      const row = await read(memories[index] ?? {})
      expect(row).toMatchObject({ embedding_status: 'ready', embedding_model: 'small', embedded_at: expect.any(Date) })
      expect(String(row['embedding'])).toMatch(new RegExp(`^\\[${text.length},0.5,`))
    }
    expect(await read(lesson, 'knowledge_entries')).toMatchObject({ embedding_status: 'ready' })
    expect(await runs()).toEqual([
      { status: 'completed', rows: 4, details: { model: 'small', refused: 0, failed: [] }, error_message: null },
    ])
    expect(await embed()).toBeUndefined()
    await db.database.pool.query(`update memories set content = 'other' where id = $1`, [memories[0]?.id])
    expect(await embed()).toMatchObject({ embedded: 1 })
  })

  test('that the service refuses has failed, with the reason in the run; the others have theirs', async () => {
    await settle('openai', 'small')
    const [good, bad] = [await remember('good'), await remember('poison')]
    const reason = 'The embedding service answered 400 (invalid_request_error): no'
    const refused = { table: 'memories', id: bad.id, reason }
    expect(await embed()).toEqual({ embedded: 1, failed: [refused] })
    expect(await read(good)).toMatchObject({ embedding_status: 'ready' })
    expect(await read(bad)).toMatchObject({ embedding_status: 'failed', embedding: null })
    expect(await runs()).toMatchObject([{ details: { refused: 1, failed: [refused] } }])
  })

  test('is asked for again when the service is busy or failing, and waits on when that does not help', async () => {
    await settle('openai', 'small')
    const memory = await remember('patient')
    troubles = [429, 503]
    expect(await embed()).toMatchObject({ embedded: 1 })
    expect(asked).toHaveLength(3)
    await db.database.pool.query(`update memories set content = 'still' where id = $1`, [memory.id])
    troubles = [500, 500, 500, 500]
    await expect(embed()).rejects.toThrow('answered 500')
    troubles = [401]
    await expect(embed()).rejects.toThrow('answered 401')
    expect(await read(memory)).toMatchObject({ embedding_status: 'pending' })
    expect((await runs()).map(({ status }) => String(status)).toSorted()).toEqual(['completed', 'failed', 'failed'])
  })

  test('leaves nothing of its text or of the key in a record, however the service quotes them', async () => {
    await settle('openai', 'small')
    const bad = await remember('poison: Ada Lovelace, card 4012-8888, Löwenzahn')
    wordsOf = ({ authorization, input }) =>
      JSON.stringify({ error: { message: `Cannot read ${String(input[0])} (${authorization})`, code: 'bad_input' } })
    const found = await embed()
    expect(found?.failed).toMatchObject([
      { id: bad.id, reason: 'The embedding service answered 400 (bad_input): Cannot read … (Bearer k-…)' },
    ])
    await db.database.pool.query(`update memories set content = 'Ada Lovelace' where id = $1`, [bad.id])
    troubles = [401]
    wordsOf = ({ authorization, input }) => `<h1>Who is ${authorization}?</h1> ${input.join()}`
    await expect(embed()).rejects.toThrow(/answered 401: .*Who is Bearer k-…/)
    const kept = JSON.stringify(await runs())
    for (const word of ['Lovelace', '4012', '8888', 'zahn', 'poison', 'k-1']) expect(kept).not.toContain(word)
  })

  test('waits on when the service answers with something else, which stands in no record', async () => {
    await settle('openai', 'small')
    await remember('Ada Lovelace')
    troubles = [203]
    wordsOf = ({ input }) => `Lost in translation: ${input.join()}`
    await expect(embed()).rejects.toThrow('something else than embeddings')
    expect(JSON.stringify(await runs())).not.toContain('Ada')
  })

  test('is made anew by another model, but not what a client has sent', async () => {
    await settle('openai', 'small')
    const own = await remember('mine', { embedding: `[${vectorOf('mine').join()}]`, embedding_model: 'my-own' })
    const memory = await remember('made')
    await embed()
    await settle('openai', 'large')
    expect(await embed('large')).toMatchObject({ embedded: 1 })
    expect(await read(memory)).toMatchObject({ embedding_status: 'ready', embedding_model: 'large' })
    expect(await read(own)).toMatchObject({ embedding_status: 'ready', embedding_model: 'my-own' })
  })
})
