// What tests do with the services that the environment names, or that are not here.
import { expect, test } from 'vitest'
import { leftOutTests, type Services } from '../../scripts/services.ts'
import { placeOf } from '../support/tcp-proxy.ts'

const here = { kind: 'installed', at: '/usr/bin/it' } as const
const all: Services = { postgres: here, redis: here, chromium: here, haproxy: here }

test('nothing is left out where all is installed', () => {
  expect(leftOutTests(all, true)).toEqual([])
})

test('what is not installed is named with the tests that need it', () => {
  const missing = { kind: 'missing', why: 'no such program' } as const
  expect(leftOutTests({ ...all, redis: missing, haproxy: missing }, true)).toEqual([
    'tests over Redis (no such program)',
    'tests of the proxy (no such program)',
  ])
})

test('a Postgres that the environment names is not enough for the tests that stop or break one', () => {
  const named = { ...all, postgres: { kind: 'given', at: 'postgres://postgres@db.example/postgres' } } as const
  expect(leftOutTests(named, true)).toEqual([])
  expect(leftOutTests(named, false)).toEqual([expect.stringMatching(/^tests that stop or break a Postgres \(none is/)])
})

test.for([
  ['postgres://postgres@127.0.0.1:54329/postgres', '127.0.0.1', 54_329],
  ['postgres://postgres@db.example/postgres', 'db.example', 5432],
  ['postgres://postgres@[::1]/postgres', '::1', 5432],
] as const)('a cable to %s goes to its host and port', ([url, host, port]) => {
  expect(placeOf(url)).toEqual({ host, port })
})
