import { expect, test } from 'vitest'
import { databaseOf, maskUrl, tlsRemedy, toLibpq } from '../../server/db/database-url.ts'

test.for([
  ['postgres://ada:geheim@db/app', 'postgres://ada@db/app'],
  ['postgres://db/app?user=ada&password=geheim&sslpassword=geheim', 'postgres://db/app?user=ada'],
  ['geheim', '(no URL)'],
])('%s is shown without passwords', ([url = '', shown]) => {
  expect(maskUrl(url)).toBe(shown)
})

test('the database is the path, decoded', () => {
  expect(databaseOf('postgres:///caf%C3%A9?host=/run/postgresql')).toBe('café')
  expect(databaseOf('postgres://db')).toBeUndefined()
})

test.for([
  ['', ''],
  ['?sslmode=disable', '?sslmode=disable'],
  ['?sslmode=no-verify', '?sslmode=require'],
  ['?ssl=no-verify', '?sslmode=require'],
  ['?ssl=0', '?sslmode=disable'],
  ['?ssl=true', '?sslmode=verify-full&sslrootcert=system'],
  ['?sslmode=require', '?sslmode=verify-full&sslrootcert=system'],
  ['?sslmode=verify-full&sslrootcert=/ca.pem', '?sslmode=verify-full&sslrootcert=%2Fca.pem'],
  ['?uselibpqcompat=true&sslmode=require', '?sslmode=require'],
  ['?uselibpqcompat=true&sslmode=verify-ca&sslrootcert=/ca.pem', '?sslmode=verify-ca&sslrootcert=%2Fca.pem'],
  ['?host=/run/postgresql&port=5433', '?host=%2Frun%2Fpostgresql&port=5433'],
])('what pg takes for "%s" is "%s" to libpq', ([query = '', libpqs = '']) => {
  const { url } = toLibpq(`postgres://ada@db:5432/app${query}`)
  expect(new URL(url).search).toBe(new URL(`postgres://db/${libpqs}`).search)
  expect(url.split('?')[0]).toBe('postgres://ada@db:5432/app')
})

test('a password is handed over apart, wherever it stands, and another database can be named', () => {
  expect(toLibpq('postgres://ada:ge%20heim@db/app', 'a b')).toEqual({
    url: 'postgres://ada@db/a%20b',
    password: 'ge heim',
  })
  expect(toLibpq('postgres://db/app?password=geheim')).toEqual({ url: 'postgres://db/app', password: 'geheim' })
})

test('an error that has nothing to do with TLS has no remedy here', () => {
  expect(tlsRemedy(Object.assign(new Error('connect ECONNREFUSED'), { code: 'ECONNREFUSED' }))).toBeUndefined()
  expect(tlsRemedy(Object.assign(new Error('no pg_hba.conf entry, SSL encryption'), { code: '28000' }))).toBeUndefined()
  expect(tlsRemedy('no')).toBeUndefined()
})
