import { DatabaseError } from 'pg'
import { expect, test } from 'vitest'
import { UnreadableStreamError } from '../../server/capture/wal/replication-client.ts'
import { UnreadableStream } from '../../server/capture/wal/unreadable-stream.ts'

const failed = (code: string): DatabaseError =>
  Object.assign(new DatabaseError('invalid input syntax: "hunter2"', 0, 'error'), { code, table: 'sync_changes' })

test('what the log refuses three times at one place is given up, in words without values', () => {
  const stream = new UnreadableStream()
  for (let time = 0; time < 2; time++) stream.saw(failed('22P02'), 100)
  expect(stream.verdict()).toBeUndefined()
  stream.saw(failed('23514'), 100)
  expect(stream.verdict()).toBe('SQLSTATE 23514, table sync_changes')
  expect(stream.verdict()).toBeUndefined()
})

test('what fails at another place each time goes on, and so does what may pass', () => {
  const stream = new UnreadableStream()
  for (let place = 1; place < 9; place++) stream.saw(failed('22P02'), place)
  for (let time = 0; time < 9; time++) stream.saw(failed('53100'), 100)
  expect(stream.verdict()).toBeUndefined()
})

test('a publication that the slot will never find is given up at once', () => {
  const stream = new UnreadableStream()
  stream.saw(new UnreadableStreamError(failed('42704')), 0)
  expect(stream.verdict()).toContain('SQLSTATE 42704')
})
