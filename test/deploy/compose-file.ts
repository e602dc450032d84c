// docker-compose.yml as Compose reads it.
import { readFileSync } from 'node:fs'
import { expect } from 'vitest'
import { parse } from 'yaml'
import { z } from 'zod'

const text = readFileSync(new URL('../../docker-compose.yml', import.meta.url), 'utf8')

const conditions = z.enum(['service_started', 'service_healthy', 'service_completed_successfully'])
const serviceSchema = z.strictObject({
  image: z.string(),
  build: z.string().optional(),
  init: z.boolean().optional(),
  pull_policy: z.enum(['never']).optional(),
  profiles: z.array(z.string()).optional(),
  command: z.array(z.string()).optional(),
  environment: z.record(z.string(), z.string()).optional(),
  depends_on: z.record(z.string(), z.strictObject({ condition: conditions })).optional(),
  volumes: z.array(z.string()).optional(),
  ports: z.array(z.string()).optional(),
  healthcheck: z
    .union([
      z.strictObject({ disable: z.literal(true) }),
      z.strictObject({
        test: z.array(z.string()),
        interval: z.string(),
        timeout: z.string(),
        retries: z.number(),
        start_period: z.string().optional(),
      }),
    ])
    .optional(),
  restart: z.enum(['no', 'unless-stopped']).optional(),
  stop_grace_period: z.string().optional(),
  stop_signal: z.string().optional(),
  shm_size: z.string().optional(),
  read_only: z.boolean().optional(),
  tmpfs: z.array(z.string()).optional(),
  cap_drop: z.array(z.string()).optional(),
  security_opt: z.array(z.string()).optional(),
})

type Value = string | number | boolean | null | readonly Value[] | { readonly [key: string]: Value }

/**
 * `${NAME:-default}`, `${NAME:+other}` and `${NAME:?why}` in every text, from `env`; an empty variable counts as
 * absent.
 */
function fill(value: Value, env: Readonly<Record<string, string>>): Value {
  if (typeof value === 'string')
    return value.replaceAll(/\$\{([A-Z_0-9]+):([-+?])([^}]*)\}/g, (_, name: string, sign: string, other: string) => {
      const given = env[name]
      if (sign === '+') return given ? other : ''
      if (sign === '?' && !given) throw new Error(`required variable ${name} is missing a value: ${other}`)
      return given || other
    })
  if (typeof value !== 'object' || value === null) return value
  if (Array.isArray(value)) return value.map((one: Value) => fill(one, env))
  return Object.fromEntries(Object.entries(value).map(([key, one]: [string, Value]) => [key, fill(one, env)]))
}

/** What nothing starts without. */
export const secrets = { POSTGRES_PASSWORD: 'p@ss/w#rd:%41 ?', AUTH_SECRET: 's'.repeat(64) } as const

/**
 * The file as Compose reads it: anchors and merges resolved, then the variables. Throws for one that is required and
 * absent.
 */
export function compose(env: Readonly<Record<string, string>> = secrets) {
  const filled = fill(parse(text, { merge: true }) as Value, env)
  expect(JSON.stringify(filled)).not.toContain('${')
  const file = z
    .object({ services: z.record(z.string(), serviceSchema), volumes: z.record(z.string(), z.null()) })
    .parse(filled)
  const service = (name: string) => file.services[name] ?? expect.unreachable(`There is no service ${name}.`)
  return { ...file, service }
}
