import { describe, expect, test } from 'vitest'
import { loadCatalog } from '../../server/catalog/catalog.ts'
import { createHomes } from '../../server/scope/homes.ts'

const catalog = loadCatalog()
const homes = createHomes(catalog)
const id = '11111111-1111-4111-8111-111111111111'

/** What `table` has in a channel, with the values in the places of their parameters. */
function carried(table: string, channel: string): string | undefined {
  const found = catalog.synced.get(table)
  return found && homes.carriedBy(found, 't', { channel, organizationId: 'here', bind: (value) => `'${value}'` })
}

describe('a followed channel carries', () => {
  test('rows of a table for everybody only if it is the global one', () => {
    expect(carried('enum_values', 'global')).toBe('(true)')
    expect(carried('enum_values', `organization/${id}`)).toBeUndefined()
  })

  test('rows by the column that names their scope, which has an index', () => {
    expect(carried('tasks', `project/${id}`)).toContain(`(t.channel = 'project/${id}' and t.project_id = '${id}')`)
  })

  test('nothing of a table whose rows cannot be there', () => {
    expect(carried('tasks', `agent/${id}`)).toBeUndefined()
  })

  test('what hangs under the rows it carries, of the same organization', () => {
    expect(carried('memory_tags', `team/${id}`)).toBe(
      `t.organization_id = 'here' and (t.memory_id in (select tp.id from memories tp where ` +
        `tp.organization_id = 'here' and (tp.channel = 'team/${id}' and tp.team_id = '${id}')))`,
    )
  })
})

test('all channels at once bind each value once', () => {
  const table = catalog.synced.get('messages')
  const values: unknown[] = []
  const bind = (value: string | readonly string[]): string => `$${values.push(value)}`
  const condition = table && homes.carriedByAny(table, 't', { channels: [`user/${id}`], organizationId: 'here', bind })
  expect(values).toEqual([[`user/${id}`, 'global'], [id], 'here'])
  expect(condition).toContain('t.conversation_id in (select tp.id from conversations tp')
})
