import { createHash } from 'node:crypto'
import { expect, test } from 'vitest'
import { uuidFromKey } from '../../lib/uuid-from-key.ts'
import { isRowId } from '../../lib/uuid.ts'

test('is a UUID of version 8 and the same wherever it is made', () => {
  const id = uuidFromKey('task_tags', ['01939a00-0000-7000-8000-000000000001', 'grün "x"'])
  expect(isRowId(id)).toBe(true)
  expect(id[14]).toBe('8')
  const digest = createHash('sha256')
    .update('["task_tags","01939a00-0000-7000-8000-000000000001","grün \\"x\\""]')
    .digest('hex')
  expect(id.replaceAll('-', '').slice(0, 12)).toBe(digest.slice(0, 12))
  expect(id.replaceAll('-', '').slice(17)).toBe(digest.slice(17, 32))
})

test('differs by table, by key, and where a column is null', () => {
  const ids = [
    uuidFromKey('a', ['x', null]),
    uuidFromKey('b', ['x', null]),
    uuidFromKey('a', [null, 'x']),
    uuidFromKey('a', ['x', 'null']),
    uuidFromKey('a', ['x']),
  ]
  expect(new Set(ids).size).toBe(5)
})
