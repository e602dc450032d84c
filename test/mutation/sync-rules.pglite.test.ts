// Direction and writers of every table of docs/schema.md, as real pushes of everybody: what the page says is what
// happens.
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Mutation, Outcome } from '../../protocol/messages/mutation.ts'
import { toProperty } from '../../protocol/rows/table.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import type { SqlValues } from '../support/sample-rows.ts'
import { allColumns } from '../support/schema-ddl.ts'
import { readSchemaPage, type DocTable } from '../support/schema-notation.ts'
import {
  changeable,
  expected,
  isForeign,
  isSoftDeleted,
  ops,
  otherValue,
  unchangeable,
  type Case,
  type Op,
} from './rules-oracle.ts'
import { guardedCases, type GuardedCase } from './guarded-columns.ts'
import { parts, RulesWorld, toWire, type Part, type Place } from './rules-world.ts'

const { tables } = readSchemaPage()
let db: TestDatabase
let world: RulesWorld

beforeAll(async () => {
  db = await createTestDatabase()
  world = await RulesWorld.create(db.database.pool, tables)
})
afterAll(() => db.close())

type Fields = Pick<Mutation, 'table' | 'op' | 'rowId' | 'set' | 'base'>

/** The rows on which nothing is expected to happen are shared by all to whom it is refused. */
async function target(table: DocTable, place: Place, op: Op): Promise<SqlValues> {
  return world.row(table, place, op === 'restore' ? { deleted_at: new Date() } : {})
}

function write({ table, op, row, part }: Case): Fields {
  const common = { table: table.name, op, rowId: String(row['id']) }
  if (op === 'insert') return { ...common, rowId: world.rowId(table, row, part), set: world.wire(table, row) }
  if (op !== 'patch') return common
  const column = changeable(table) ?? unchangeable(table)
  if (!column) throw new Error(`No column of ${table.name} can be patched in vain.`)
  const property = toProperty(column.name)
  const value = otherValue(column)
  const base = row[column.name] === undefined ? null : toWire(column.type, row[column.name])
  return { ...common, set: { [property]: value }, base: { [property]: base } }
}

async function answer({ table, op, part, place }: Case, rowId: string, outcome: Outcome | undefined): Promise<string> {
  if (outcome?.kind === 'applied') {
    if (part !== 'outsider') return 'applied'
    // What an outsider makes is in the outsider's organization.
    const rows = await world.query(`select id from "${table.name}" where id = $1 and organization_id = $2`, [
      rowId,
      world.organization,
    ])
    return rows.length === 0 ? 'refused' : 'applied in another organization'
  }
  const code = outcome?.error?.code
  if (isForeign({ part, place, op }) && (outcome?.kind === 'noop' || code === 'forbidden' || code === 'not_found'))
    return 'unseen'
  if (op === 'insert' && ['forbidden', 'foreign_key_violated', 'not_found'].includes(String(code))) return 'refused'
  if (op === 'patch' && code === 'unknown_column') return 'fixed'
  if (code === 'forbidden' || code === 'not_found') return code
  return `${outcome?.kind} ${outcome?.error?.message}`
}

async function casesOf(table: DocTable, place: Place): Promise<readonly Case[]> {
  const cases: Case[] = []
  const isOne = table.scope.endsWith('(id)')
  for (const op of ops) {
    // What is inserted has an organization, and those of which there is one cannot be deleted to be restored.
    if ((place === 'global' && op === 'insert' && !table.scope.startsWith('via')) || (isOne && op === 'restore'))
      continue
    const shared =
      op === 'insert' ? undefined : await target(table, place, op === 'restore' && !isSoftDeleted(table) ? 'patch' : op)
    for (const part of parts) {
      const row = shared ?? (await world.values(table, place))
      const may = expected(world, { table, place, part, op, row }) === 'applied'
      cases.push({ table, place, part, op, row: shared && may && !isOne ? await target(table, place, op) : row })
    }
  }
  return cases
}

/** Pushes all of one principal at once, and says what came of each. */
async function pushAll(cases: readonly Case[]): Promise<ReadonlyMap<string, string>> {
  const answers = new Map<string, string>()
  for (const part of parts) {
    const own = cases.filter((one) => one.part === part)
    const writes = own.map(write)
    const outcomes = await world.device(part).send(...writes)
    for (const [index, one] of own.entries())
      answers.set(nameOf(one), await answer(one, writes[index]?.rowId ?? '', outcomes[index]))
  }
  return answers
}

function nameOf({ place, part, op }: Case): string {
  return `${part} ${op}s in ${place}`
}

const synced = tables.filter(({ direction }) => direction !== 'server')

describe.each(synced.map((table) => [table.name, table] as const))('%s', (_, table) => {
  test(`is written by ${table.writers.join(', ') || 'nobody'} (${table.direction}, ${table.scope})`, async () => {
    const cases = (await Promise.all(world.placesOf(table).map((place) => casesOf(table, place)))).flat()
    const answers = await pushAll(cases)
    const wanted = cases.map((one) => [nameOf(one), expected(world, one)] as const)
    expect(Object.fromEntries(answers)).toEqual(Object.fromEntries(wanted))
  })
})

const guarded = synced.flatMap((table) =>
  (table.fields['guarded'] ?? []).map((column) => [`${table.name}.${column}`, table, column] as const),
)

/** Who of all of them is not refused. What an outsider makes is in the outsider's organization. */
async function whoMay({ raised }: GuardedCase, push: (part: Part) => Promise<Outcome>): Promise<readonly Part[]> {
  const may: Part[] = []
  if (raised) await world.roleInProject('member', 'admin')
  for (const part of parts) {
    const { kind, error } = await push(part)
    if (kind === 'applied' || kind === 'merged') may.push(part)
    else
      expect([part, error?.code]).toEqual([part, expect.stringMatching(/^(forbidden|not_found|foreign_key_violated)$/)])
  }
  if (raised) await world.roleInProject('member', 'member')
  return may.filter((part) => part !== 'outsider')
}

describe.each(guarded)('%s carries authority, so that', (name, table, column) => {
  const property = toProperty(column)
  const caseOf = (): GuardedCase => {
    const found = guardedCases(world)[name]
    if (!found)
      throw new Error(`${name} is guarded on docs/schema.md, and guarded-columns.ts does not say who may change it.`)
    return found
  }

  test('it is changed by those who may, and by nobody else', async () => {
    const { place, given = {}, value, patch = [] } = caseOf()
    if (table.direction === 'up' || property === 'deletedAt' || table.policy === 'append') return
    const may = await whoMay(caseOf(), async (part) => {
      const row = table.name === 'agents' ? await world.agentAnew(given) : await world.row(table, place, given)
      const { type = '', default: initial = null } = allColumns(table).find((one) => one.name === column) ?? {}
      const base = { [property]: toWire(type, row[column] ?? initial) }
      return world
        .device(part)
        .one({ table: table.name, op: 'patch', rowId: String(row['id']), set: { [property]: value }, base })
    })
    expect(may).toEqual(patch)
  })

  test('a new row has it from those who may, and from nobody else', async () => {
    const { place, given = {}, value, insert } = caseOf()
    if (!insert) return
    const may = await whoMay(caseOf(), async (part) => {
      const row = await world.values(table, place, given)
      const set = { ...world.wire(table, row), [property]: value }
      return world.device(part).one({ table: table.name, op: 'insert', rowId: world.rowId(table, row, part), set })
    })
    expect(may).toEqual(insert)
  })
})
