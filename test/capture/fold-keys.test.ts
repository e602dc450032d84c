import { expect, test } from 'vitest'
import { noOrigin, type CapturedKey } from '../../server/capture/wal/captured-commit.ts'
import { foldKeys } from '../../server/capture/wal/fold-keys.ts'
import { SilentUpdates } from '../../server/capture/wal/silent-updates.ts'

function key(op: 'insert' | 'update' | 'delete', rest: Partial<CapturedKey> = {}): CapturedKey {
  return {
    organizationId: 'o',
    channel: 'project/p',
    oldChannel: null,
    table: 'tasks',
    rowId: 'a',
    op: op === 'delete' ? 'delete' : 'upsert',
    born: op === 'insert',
    version: op === 'delete' ? null : 1,
    origin: noOrigin,
    ...rest,
  }
}

test('a row that is deleted and put in again is both, in the channels in which it was and is', () => {
  const keys = [
    key('update', { oldChannel: 'project/before', version: 4 }),
    key('delete'),
    key('insert', { channel: 'project/q' }),
  ]
  expect(foldKeys(keys)).toMatchObject([
    { op: 'delete', channel: 'project/before', oldChannel: null },
    { op: 'upsert', channel: 'project/q', oldChannel: 'project/before', born: false, version: 1 },
  ])
})

test('a row that is born, deleted and born again was not there before', () => {
  expect(foldKeys([key('insert'), key('delete'), key('insert')])).toMatchObject([{ op: 'upsert', born: true }])
})

test('a row that is deleted, put in again and deleted is deleted once', () => {
  expect(foldKeys([key('delete'), key('insert'), key('delete')])).toMatchObject([{ op: 'delete' }])
})

test('a row that is replaced is no silent update of the one before, and the next touch of it is', () => {
  const silent = new SilentUpdates()
  const first = [key('insert')]
  expect(silent.without(first)).toEqual(first)
  const replaced = foldKeys([key('delete'), key('insert')])
  expect(silent.without(replaced)).toEqual(replaced)
  expect(silent.without([key('update')])).toEqual([])
})
