import { homedir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { loadConfig } from '../../server/config.ts'
import { TideError } from '../../protocol/error.ts'

const secret = 'a secret of more than thirty-two characters'

function refusal(env: Record<string, string>): TideError {
  try {
    loadConfig(env)
  } catch (error) {
    if (error instanceof TideError) return error
  }
  throw new Error('The settings were accepted.')
}

describe('settings', () => {
  test('are complete when none is given: embedded, on this machine', () => {
    const config = loadConfig({})
    expect(config).toMatchObject({
      host: '127.0.0.1',
      port: 4600,
      capture: 'trigger',
      logLevel: 'info',
      embedding: { provider: 'none', dimension: 384 },
    })
    expect(config.database.kind).toBe('embedded')
    expect(config.auth.kind).toBe('stored')
  })

  test('take the values of the environment; an empty variable counts as absent', () => {
    const config = loadConfig({
      PORT: '5000',
      HOST: '',
      DATABASE_URL: 'postgres://me@db/tide',
      DATABASE_POOL_SIZE: '5',
      DATABASE_MAX_OVERFLOW: '2',
      AUTH_SECRET: secret,
      EMBEDDING_DIMENSION: '768',
    })
    expect(config).toMatchObject({
      port: 5000,
      host: '127.0.0.1',
      database: { kind: 'postgres', url: 'postgres://me@db/tide', poolSize: 7 },
      auth: { kind: 'secret', secret },
      capture: 'wal',
      embedding: { dimension: 768 },
    })
  })

  test('say where templates of new databases are kept, or that none are', () => {
    expect(loadConfig({}).database).toMatchObject({ cacheDir: join(homedir(), '.cache/tidewire') })
    expect(loadConfig({ TIDEWIRE_CACHE: '/var/cache' }).database).toMatchObject({ cacheDir: '/var/cache' })
    expect(loadConfig({ TIDEWIRE_CACHE: 'off' }).database).not.toHaveProperty('cacheDir')
  })

  test('name the origins of pages; a path is none', () => {
    expect(loadConfig({}).allowedOrigins).toEqual(['loopback'])
    expect(loadConfig({ ALLOWED_ORIGINS: 'https://App.example.com, loopback' }).allowedOrigins).toEqual([
      'https://app.example.com',
      'loopback',
    ])
    expect(loadConfig({ TRUSTED_PROXIES: '10.0.0.0/8, ::1' }).trustedProxies).toEqual(['10.0.0.0/8', '::1'])
    expect(refusal({ TRUSTED_PROXIES: '10.0.0.0/8,all' }).message).toContain(
      'TRUSTED_PROXIES is "10.0.0.0/8,all": it must be a list of networks or addresses of proxies',
    )
    expect(refusal({ ALLOWED_ORIGINS: 'https://app.example.com/' }).message).toContain('must be a list of origins')
  })

  test('that are wrong are all named at once, each with its value and what it must be', () => {
    const error = refusal({ PORT: 'http', EMBEDDING_DIMENSION: '0', CAPTURE: 'magic', LOG_LEVEL: 'warn' })
    expect(error.code).toBe('config_invalid')
    expect(error.message).toContain('4 settings are wrong')
    for (const part of [
      'PORT is "http": it must be a whole number from 0 to 65535',
      'EMBEDDING_DIMENSION is "0"',
      'CAPTURE is "magic": it must be wal or trigger',
      'LOG_LEVEL is "warn": it must be error, info or debug',
    ]) {
      expect(error.message).toContain(part)
    }
  })

  test('that are secret never appear in the message', () => {
    const error = refusal({
      AUTH_SECRET: 'hunter2',
      DATABASE_URL: 'mysql://root:hunter3@db',
      ENCRYPTION_KEYS: 'k1:hunter4',
    })
    expect(error.message).toContain('AUTH_SECRET is (hidden)')
    expect(error.message).toContain('DATABASE_URL is (hidden)')
    expect(error.message).toContain('ENCRYPTION_KEYS is (hidden)')
    expect(error.message).not.toMatch(/hunter/)
  })

  test('refuse a database elsewhere without anything to check tokens with', () => {
    expect(refusal({ DATABASE_URL: 'postgres://me@db/tide' }).message).toContain('AUTH_SECRET is absent')
    const elsewhere = { DATABASE_URL: 'postgres://me@db/tide', AUTH_JWKS_URL: 'https://id.example.com/keys' }
    const { message } = refusal(elsewhere)
    expect(message).toContain('AUTH_ISSUER is absent')
    expect(message).toContain('AUTH_AUDIENCE is absent')
    expect(loadConfig({ ...elsewhere, AUTH_ISSUER: 'https://id.example.com', AUTH_AUDIENCE: 'tidewire' }).auth).toEqual(
      {
        kind: 'jwks',
        url: 'https://id.example.com/keys',
        issuer: 'https://id.example.com',
        audience: 'tidewire',
      },
    )
  })

  test('refuse logical replication on the embedded database', () => {
    expect(refusal({ CAPTURE: 'wal' }).message).toContain('CAPTURE is "wal" without DATABASE_URL')
  })

  test('read encryption keys of 32 bytes', () => {
    const key = Buffer.alloc(32, 7).toString('base64')
    expect(loadConfig({ ENCRYPTION_KEYS: `new:${key},old:${key}` }).encryptionKeys.map(({ id }) => id)).toEqual([
      'new',
      'old',
    ])
    expect(refusal({ ENCRYPTION_KEYS: 'k1:AAAA' }).message).toContain('keys of 32 bytes')
  })
})
