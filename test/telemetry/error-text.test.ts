// What an error may say where people without any right to the rows read it.
import { DatabaseError } from 'pg'
import { expect, test } from 'vitest'
import { errorStack, errorText } from '../../server/telemetry/telemetry.ts'
import { TideError } from '../../protocol/error.ts'

const secret = 'hunter2'

function said(code: string, message: string, more: Partial<DatabaseError> = {}): DatabaseError {
  return Object.assign(new DatabaseError(message, message.length, 'error'), { code, ...more })
}

const refused = said('22P02', `invalid input syntax for type uuid: "${secret}"`, { table: 'tasks', column: 'id' })

test('of what Postgres refuses it says where, and no value', () => {
  expect(errorText(refused)).toBe('SQLSTATE 22P02, table tasks, column id')
  const taken = said('23505', `duplicate key (${secret})`, { table: 'users', constraint: 'users_email_key' })
  expect(errorText(taken)).toBe('SQLSTATE 23505, table users, constraint users_email_key')
  expect(errorText(said('P0001', `no ${secret} here`))).toBe('SQLSTATE P0001')
})

test.each([
  [
    'wrapped',
    new Error(`The statement failed: ${secret}`, { cause: refused }),
    'Error: SQLSTATE 22P02, table tasks, column id',
  ],
  ['told to a client', new TideError('invalid_value', `name is ${secret}`), 'invalid_value'],
  [
    'copied by the ORM',
    Object.assign(new Error(`insert … '${secret}' - no column x`), { code: '42703' }),
    'SQLSTATE 42703',
  ],
  ['not JSON', parseFailure(), 'SyntaxError'],
  ['no error at all', secret, 'thrown: string'],
])('nor of one that is %s', (_, error, text) => {
  expect(errorText(error)).toBe(text)
  expect(errorStack(error)).not.toContain(secret)
})

test('what concerns the server and its connections keeps its words', () => {
  expect(errorText(said('57P01', 'terminating connection due to administrator command'))).toBe(
    'terminating connection due to administrator command (SQLSTATE 57P01)',
  )
  expect(errorText(said('42P01', 'relation "tasks" does not exist'))).toContain('relation "tasks"')
  expect(errorText(Object.assign(new Error('write EPIPE'), { code: 'EPIPE' }))).toBe('write EPIPE')
  expect(errorStack(new TypeError('x is not a function'))).toMatch(/^TypeError: x is not a function\n +at /)
})

function parseFailure(): unknown {
  try {
    return JSON.parse(secret)
  } catch (error) {
    return error
  }
}
