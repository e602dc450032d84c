// Each column of `memories` by itself, with the triggers on: what it is when nobody says, what it says to null, and its
// bounds.
import { randomUUID } from 'node:crypto'
import type { DatabaseError } from 'pg'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import { SampleRows, type SqlValues } from '../support/sample-rows.ts'
import { allColumns } from '../support/schema-ddl.ts'
import { readSchemaPage, type DocColumn } from '../support/schema-notation.ts'

const { tables } = readSchemaPage()
const columns = tables.filter(({ name }) => name === 'memories').flatMap(allColumns)
let db: TestDatabase
let samples: SampleRows
/** What every memory needs. */
let least: SqlValues

beforeAll(async () => {
  db = await createTestDatabase()
  samples = new SampleRows(db.database.pool, tables)
  least = { organization_id: await samples.parent('organizations'), scope: 'organization', content: 'c' }
})
afterAll(() => db.close())

/**
 * The column of a memory with these values, as it is stored, or the code of the refusal. Nothing is left of the memory.
 */
async function stored(column: string, row: SqlValues): Promise<unknown> {
  const client = await db.database.pool.connect()
  const names = Object.keys(row)
  try {
    await client.query('begin')
    const { rows } = await client.query<{ value: unknown }>(
      `insert into memories (${names.join()}) values (${names.map((_, at) => `$${at + 1}`).join()}) returning ${column} as value`,
      Object.values(row),
    )
    return rows[0]?.value
  } catch (error) {
    return { refused: (error as DatabaseError).code }
  } finally {
    await client.query('rollback')
    client.release()
  }
}

const refused = (code: string): unknown => ({ refused: code })
const time = expect.any(Date) as unknown
const home = expect.stringMatching(/^organization\/[-0-9a-f]{36}$/) as unknown

/** What is there when nobody says, where it is not what the page writes. */
const unsaid: Readonly<Record<string, unknown>> = {
  id: expect.stringMatching(/^[0-9a-f]{8}-[0-9a-f]{4}-7/) as unknown,
  channel: home,
  created_at: time,
  updated_at: time,
  organization_id: refused('23502'),
  scope: refused('23502'),
  content: refused('23502'),
  content_hash: expect.any(Buffer) as unknown,
  search_vector: `'c':1B`,
  entities: [],
  metadata: {},
  // Nobody makes embeddings here.
  embedding_status: 'skipped',
}

/** What a trigger makes of null before the column sees it. */
const filledIn: Readonly<Record<string, unknown>> = { channel: home }

function defaultOf({ name, type, default: written }: DocColumn): unknown {
  if (name in unsaid) return unsaid[name]
  if (written === undefined) return null
  if (type === 'boolean') return written === 'true'
  if (type === 'integer') return Number(written)
  const scale = /^numeric\(\d+,(\d+)\)$/.exec(type)?.[1]
  return scale === undefined ? written : Number(written).toFixed(Number(scale))
}

interface Bounds {
  readonly within: readonly SqlValues[]
  /** With the code of the refusal. */
  readonly beyond: readonly (readonly [SqlValues, string])[]
}

async function boundsOf(column: DocColumn): Promise<Bounds> {
  const { name, type, values, length, check = '', references, generated } = column
  const of = (value: unknown): SqlValues => ({ [name]: value })
  if (generated) return { within: [], beyond: [[of('x'), '428C9']] }
  if (references) {
    // The trigger that looks for an equal memory sets this one on insert, whatever is given; constraints.pglite.test.ts
    // breaks its key.
    const dangling: Bounds['beyond'] = name === 'superseded_by_id' ? [] : [[of(randomUUID()), '23503']]
    return { within: [of(await samples.parent(references.table))], beyond: [...dangling, [of('x'), '22P02']] }
  }
  if (name === 'scope') {
    const named = ['project', 'team', 'user', 'agent']
    const rows = named.map(async (one) => ({ scope: one, [`${one}_id`]: await samples.parent(`${one}s`) }))
    return {
      within: [{}, ...(await Promise.all(rows))],
      // Without a home before the CHECKs are asked.
      beyond: [...named, 'device'].map((one) => [of(one), '23502']),
    }
  }
  if (values) {
    const embedded = name === 'embedding_status' ? { embedding: vectorOf(384) } : {}
    return { within: values.map((value) => ({ ...embedded, ...of(value) })), beyond: [[of('no such value'), '23514']] }
  }
  if (length) {
    const [least, most] = length
    return {
      within: ['x'.repeat(least), '😀'.repeat(most)].map(of),
      beyond: [
        [of('x'.repeat(least - 1)), '23514'],
        [of('x'.repeat(most + 1)), '23514'],
      ],
    }
  }
  const range = /between (\d+) and (\d+)/.exec(check)
  if (range) {
    const [from, to] = [Number(range[1]), Number(range[2])]
    return {
      within: [of(from), of(to)],
      beyond: [
        [of(from - 0.01), '23514'],
        [of(to + 0.01), '23514'],
        [of('x'), '22P02'],
      ],
    }
  }
  const lowest = /(>=?) (\d+)/.exec(check)
  if (lowest) {
    const from = Number(lowest[2]) + (lowest[1] === '>' ? 1 : 0)
    return {
      within: [of(from), of(2 ** 31 - 1)],
      beyond: [
        [of(from - 1), '23514'],
        [of(2 ** 31), '22003'],
        [of(1.5), '22P02'],
      ],
    }
  }
  return byType(type, of)
}

/** Columns whose only bound is their type. */
function byType(type: string, of: (value: unknown) => SqlValues): Bounds {
  switch (type) {
    case 'uuid':
      return { within: [of(randomUUID())], beyond: [[of('x'), '22P02']] }
    case 'timestamptz':
      return {
        within: [of('2000-01-01T00:00:00.001Z'), of('9999-12-31T23:59:59.999Z')],
        beyond: [
          [of('2000-02-30'), '22008'],
          [of('noon'), '22007'],
        ],
      }
    case 'boolean':
      return { within: [of(true), of(false)], beyond: [[of('perhaps'), '22P02']] }
    case 'text':
      return { within: [of(''), of('😀'.repeat(100_000))], beyond: [[of('\u0000'), '22021']] }
    case 'text[]':
      return { within: [of([]), of(['a', ''])], beyond: [[of('{'), '22P02']] }
    case 'jsonb':
      return { within: [of('{"a":1}')], beyond: [[of('{'), '22P02']] }
    case 'vector(D)':
      return {
        within: [of(vectorOf(384))],
        beyond: [
          [of(vectorOf(383)), '22000'],
          [of('[]'), '22000'],
        ],
      }
    default:
      throw new Error(`Say what a column of type ${type} refuses.`)
  }
}

function vectorOf(dimension: number): string {
  return `[${Array.from({ length: dimension }, () => 0.1).join()}]`
}

const shown = (row: SqlValues): string => JSON.stringify(row).slice(0, 80)

test('memories have the columns of which each has three cases here', () => {
  expect(columns.length).toBeGreaterThan(50)
})

describe.each(columns)('memories.$name', (column) => {
  const { name, notNull, generated } = column

  test('has its default', async () => {
    const { [name]: _given, ...others } = least
    expect(await stored(name, { ...others })).toEqual(defaultOf(column))
  })

  test('takes null, or refuses it', async () => {
    const wanted = name in filledIn ? filledIn[name] : generated ? refused('428C9') : notNull ? refused('23502') : null
    expect(await stored(name, { ...least, [name]: null })).toEqual(wanted)
  })

  test('goes to its bounds, and no further', async () => {
    const { within, beyond } = await boundsOf(column)
    for (const row of within)
      expect
        .soft(await stored(name, { ...least, ...row }), shown(row))
        .not.toEqual({ refused: expect.anything() as unknown })
    for (const [row, code] of beyond)
      expect.soft(await stored(name, { ...least, ...row }), shown(row)).toEqual(refused(code))
  })
})
