import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Json } from '../../protocol/rows/row.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import { createWorld, newId, type TestDevice, type World } from './world.ts'

let db: TestDatabase
let world: World
beforeAll(async () => {
  db = await createTestDatabase()
  world = await createWorld(db.database)
})
afterAll(() => db.close())

const identity = { name: 'scout' }

async function addAgent(dna: Json): Promise<string> {
  const rowId = newId()
  const set = { name: rowId, agentType: 'generic', dna }
  expect(await world.ada.one({ table: 'agents', op: 'insert', rowId, set })).toMatchObject({ kind: 'applied' })
  return rowId
}
const patch = (device: TestDevice, rowId: string, dna: Json, base: Json) =>
  device.one({ table: 'agents', op: 'patch', rowId, set: { dna }, base: { dna: base } })
async function agentOf(id: string): Promise<Record<string, unknown>> {
  const [row] = await world.query('select * from agents where id = $1', [id])
  return row ?? {}
}
const capabilitiesOf = (id: string) =>
  world.query(
    'select kind, name, proficiency::float8 as proficiency, is_enabled, constraints from agent_capabilities where agent_id = $1 and deleted_at is null order by kind, name',
    [id],
  )

describe('AgentDNA', () => {
  test.each([
    ['dna.soul', { identity, soul: {} }],
    ['dna.identity.name', { identity: {} }],
    ['dna.personality.tone', { identity, personality: { tone: 'shrill' } }],
    ['dna.skills.skills.0.proficiency', { identity, skills: { skills: [{ key: 'k', name: 'K', proficiency: 2 }] } }],
    ['dna.runtime.colour', { identity, runtime: { colour: 'red' } }],
  ])('that is wrong at %s is refused, and the error says where', async (path, dna) => {
    const refusal = {
      kind: 'rejected',
      error: { code: 'invalid_value', message: expect.stringContaining(`agents.${path}:`) },
    }
    const set = { name: newId(), agentType: 'generic', dna }
    expect(await world.ada.one({ table: 'agents', op: 'insert', set })).toMatchObject(refusal)
    const id = await addAgent({ identity })
    expect(await patch(world.ada, id, dna, { identity })).toMatchObject(refusal)
    expect(await agentOf(id)).toMatchObject({ dna: { identity }, dna_revision: 1 })
  })

  test('is stored as written, and the server counts its revisions', async () => {
    const id = await addAgent({ identity })
    const dna = { identity, model: { model: 'm' } }
    expect(await patch(world.ada, id, dna, { identity })).toMatchObject({ kind: 'applied' })
    expect(await agentOf(id)).toMatchObject({ dna, dna_revision: 2 })
  })

  test('of two devices that change two sub-models merges without conflict', async () => {
    const id = await addAgent({ identity })
    const other = await world.device('user', world.ada.principal.id)
    const personality = { tone: 'terse' }
    const model = { temperature: 1 }
    expect(await patch(world.ada, id, { identity, personality }, { identity })).toMatchObject({ kind: 'applied' })
    expect(await patch(other, id, { identity, model }, { identity })).toMatchObject({ kind: 'merged' })
    expect(await agentOf(id)).toMatchObject({ dna: { identity, personality, model }, dna_revision: 3 })
  })

  test('is refused by the database itself when it has a key of its own', async () => {
    const id = await addAgent({ identity })
    await expect(world.query(`update agents set dna = '{"soul":1}' where id = $1`, [id])).rejects.toMatchObject({
      constraint: 'agents_dna_keys',
    })
  })

  test('says how an agent runs, also against what is written beside it', async () => {
    const runtime = { mobileCapable: true, deviceAffinity: 'phone', batteryAware: true }
    const id = await addAgent({ identity, runtime })
    const columns = { mobile_capable: true, device_affinity: 'phone', location_enabled: false, battery_aware: true }
    expect(await agentOf(id)).toMatchObject(columns)
    await world.query('update agents set mobile_capable = false, location_enabled = true where id = $1', [id])
    expect(await agentOf(id)).toMatchObject(columns)
    await patch(world.ada, id, { identity }, { identity, runtime })
    await world.query('update agents set mobile_capable = false where id = $1', [id])
    expect(await agentOf(id)).toMatchObject({ ...columns, mobile_capable: false })
  })

  test('has a capability for each skill, and takes away those that are gone, and no others', async () => {
    const skill = (key: string, more: Record<string, Json> = {}) => ({ key, name: key.toUpperCase(), ...more })
    const first = {
      identity,
      skills: { skills: [skill('search', { proficiency: 0.9 }), skill('de', { kind: 'language' })] },
    }
    const id = await addAgent(first)
    await world.query(
      `insert into agent_capabilities (organization_id, agent_id, kind, name, resource_amount) values ($1, $2, 'resource', 'gpu', 2)`,
      [world.organizationId, id],
    )
    const second = {
      identity,
      skills: { skills: [skill('search', { proficiency: 1, enabled: false, path: 'a.md' }), skill('code')] },
    }
    await patch(world.ada, id, second, first)
    expect(await capabilitiesOf(id)).toEqual([
      { kind: 'resource', name: 'gpu', proficiency: null, is_enabled: true, constraints: {} },
      { kind: 'skill', name: 'code', proficiency: 0.5, is_enabled: true, constraints: { label: 'CODE' } },
      {
        kind: 'skill',
        name: 'search',
        proficiency: 1,
        is_enabled: false,
        constraints: { label: 'SEARCH', path: 'a.md' },
      },
    ])
    expect(await agentOf(id)).toMatchObject({ capability_names: ['code', 'gpu'] })
    // What comes back is the row that was there.
    await patch(world.ada, id, first, second)
    expect(
      await world.query(`select 1 from agent_capabilities where agent_id = $1 and kind = 'language'`, [id]),
    ).toHaveLength(1)
    expect((await capabilitiesOf(id)).map(({ name }) => name)).toEqual(['de', 'gpu', 'search'])
  })
})
