import { homedir } from 'node:os'
import { resolve } from 'node:path'
import { z } from 'zod'
import { parseNetwork } from '../lib/ip-address.ts'
import { TideError } from '../protocol/error.ts'
import { mostPushMutations, mostSubscriptions, mostWindowBatches } from '../protocol/limits.ts'

/**
 * Where rows are kept. `poolSize` is the most connections of this process at a time, `cacheDir` the folder of templates
 * that new embedded databases are copied from; absent: they are made from nothing.
 */
export type DatabaseConfig =
  | { readonly kind: 'embedded'; readonly dataDir: string; readonly poolSize: number; readonly cacheDir?: string }
  | { readonly kind: 'postgres'; readonly url: string; readonly poolSize: number; readonly readUrls: readonly string[] }

/** Who signs tokens. `stored`: a secret made once and kept in the data folder (embedded only). */
export type AuthConfig =
  | { readonly kind: 'secret'; readonly secret: string }
  /**
   * Tokens count that `issuer` made for `audience`: an identity provider signs tokens of other applications with the
   * same keys.
   */
  | { readonly kind: 'jwks'; readonly url: string; readonly issuer: string; readonly audience: string }
  | { readonly kind: 'stored'; readonly dataDir: string }

/** What a session may do; all are told to the client in `welcome` or in the error. */
export interface Limits {
  /** Bytes of one frame from a client. */
  readonly messageBytes: number
  readonly subscriptions: number
  readonly pushMutations: number
  readonly windowBatches: number
  /** Milliseconds from connecting to a good `hello`. */
  readonly helloMs: number
  /** Messages per second of one session, and how many at once. */
  readonly messagesPerSecond: number
  readonly messageBurst: number
  /** Bad frames in a row before the connection is cut. */
  readonly badFrames: number
  /** Pushes of one session that may wait. */
  readonly queuedPushes: number
  /** Bytes of one session's pushes, calls and searches that may wait or be worked on. */
  readonly waitingBytes: number
  /** Bytes of one frame before the welcome. */
  readonly helloBytes: number
  /** Connections of one principal, and from one public address, to one server. */
  readonly connectionsPerPrincipal: number
  readonly connectionsPerAddress: number
  readonly presencePerSecond: number
  readonly presenceBytes: number
}

export interface Config {
  readonly host: string
  readonly port: number
  /** Pages that may connect: origins in lower case, `loopback` for all of the browser's own machine, `*` for any. */
  readonly allowedOrigins: readonly string[]
  /** Networks of proxies whose X-Forwarded-For counts. */
  readonly trustedProxies: readonly string[]
  readonly database: DatabaseConfig
  /** Module of an application with tables or actions of its own, for the command; absolute. */
  readonly app: string | undefined
  /** Folder for what this process keeps on disk. */
  readonly dataDir: string
  readonly capture: 'wal' | 'trigger'
  readonly redisUrl: string | undefined
  readonly auth: AuthConfig
  readonly embedding: {
    /** `openai`: any service that speaks their call. */
    readonly provider: 'none' | 'openai'
    readonly url: string | undefined
    readonly key: string | undefined
    readonly model: string | undefined
    readonly dimension: number
  }
  /** First encrypts, all decrypt. */
  readonly encryptionKeys: ReadonlyArray<{ readonly id: string; readonly key: Uint8Array }>
  /** Whether webhooks may go to private addresses, and by plain http. */
  readonly webhookPrivateTargets: boolean
  readonly logLevel: 'error' | 'info' | 'debug'
  /** `auto`: for people in a terminal, for programs elsewhere. */
  readonly logFormat: 'auto' | 'json' | 'pretty'
  /** Where artifacts of pipelines lie whose files go when the artifacts expire. */
  readonly artifactDir: string | undefined
  /** Folder for backups; present: the server makes one every night. */
  readonly backupDir: string | undefined
  /** Folder of pg_dump and pg_restore; absent: those on the PATH. */
  readonly postgresBin: string | undefined
  /** For so many milliseconds a server that is told to stop serves on, while `/ready` says so already. */
  readonly shutdownDelayMs: number
  /** Statements that clients cause are stopped after so many milliseconds. */
  readonly statementTimeoutMs: number
  /** Statements that took so many milliseconds are counted as slow. */
  readonly slowQueryMs: number
  /** Where traces go; absent: nothing is traced. */
  readonly tracing: { readonly endpoint: string; readonly serviceName: string; readonly ratio: number } | undefined
  readonly limits: Limits
}

export const defaultLimits: Limits = {
  messageBytes: 4 * 1024 * 1024,
  subscriptions: mostSubscriptions,
  pushMutations: mostPushMutations,
  windowBatches: mostWindowBatches,
  helloMs: 10_000,
  messagesPerSecond: 200,
  messageBurst: 1000,
  badFrames: 20,
  queuedPushes: 64,
  waitingBytes: 20 * 1024 * 1024,
  helloBytes: 64 * 1024,
  connectionsPerPrincipal: 5000,
  connectionsPerAddress: 5000,
  presencePerSecond: 20,
  presenceBytes: 4096,
}

const url = (...schemes: readonly string[]): z.ZodType<string, string> =>
  z
    .string()
    .refine(
      (text) => URL.canParse(text) && schemes.includes(new URL(text).protocol),
      `must be a URL that starts with ${schemes.join('// or ')}//`,
    )
const whole = (min: number, max: number): z.ZodType<number, string> =>
  z
    .string()
    .regex(/^\d+$/, `must be a whole number from ${min} to ${max}`)
    .transform(Number)
    .refine((value) => value >= min && value <= max, `must be a whole number from ${min} to ${max}`)
/** From 0 to 1. */
const part = z
  .string()
  .regex(/^(0|1|0?\.\d+|1\.0+)$/, 'must be a number from 0 to 1, e.g. 0.1')
  .transform(Number)
const keyList = z.string().transform((text, context) => text.split(',').map((entry) => toKey(entry, context)))

const originPattern = /^(\*|loopback|null|[a-z][a-z0-9+.-]*:\/\/[^/\s,?#]+)$/

const variables = {
  HOST: z
    .string()
    .regex(/^[\w.:-]+$/, 'must be a host name or address')
    .default('127.0.0.1'),
  PORT: whole(0, 65_535).default(4600),
  ALLOWED_ORIGINS: z
    .string()
    .transform((text) => text.split(',').map((origin) => origin.trim().toLowerCase()))
    .pipe(
      z.array(
        z.string().regex(originPattern, 'must be a list of origins, e.g. https://app.example.com, loopback, or *'),
      ),
    )
    .default(['loopback']),
  TRUSTED_PROXIES: z
    .string()
    .transform((text) => text.split(',').map((network) => network.trim()))
    .refine(
      (networks) => networks.every((network) => parseNetwork(network)),
      'must be a list of networks or addresses of proxies, e.g. 10.0.0.0/8,192.168.1.7',
    )
    .optional(),
  DATABASE_URL: url('postgres:', 'postgresql:').optional(),
  DATABASE_POOL_SIZE: whole(1, 1000).default(20),
  DATABASE_MAX_OVERFLOW: whole(0, 1000).default(10),
  DATABASE_READ_URLS: z
    .string()
    .transform((text) => text.split(','))
    .pipe(z.array(url('postgres:', 'postgresql:')))
    .optional(),
  TIDEWIRE_APP: z.string().min(1, 'must be a file').optional(),
  TIDEWIRE_DATA: z.string().min(1, 'must be a folder').default('./.tidewire'),
  TIDEWIRE_CACHE: z.string().default('~/.cache/tidewire'),
  CAPTURE: z.enum(['wal', 'trigger'], 'must be wal or trigger').optional(),
  REDIS_URL: url('redis:', 'rediss:').optional(),
  AUTH_SECRET: z.string().min(32, 'must have at least 32 characters, e.g. from `openssl rand -base64 32`').optional(),
  AUTH_JWKS_URL: url('https:', 'http:').optional(),
  AUTH_ISSUER: z.string().min(1, 'must be the `iss` of the tokens').optional(),
  AUTH_AUDIENCE: z.string().min(1, 'must be the `aud` of the tokens').optional(),
  EMBEDDING_PROVIDER: z.enum(['none', 'openai'], 'must be none or openai').default('none'),
  EMBEDDING_URL: url('https:', 'http:').optional(),
  EMBEDDING_KEY: z.string().min(1, 'must be the key of the embedding service').optional(),
  EMBEDDING_MODEL: z.string().min(1, 'must be the name of a model').optional(),
  EMBEDDING_DIMENSION: whole(1, 4000).default(384),
  ENCRYPTION_KEYS: keyList.optional(),
  WEBHOOK_PRIVATE_TARGETS: z.enum(['true', 'false'], 'must be true or false').default('false'),
  LOG_LEVEL: z.enum(['error', 'info', 'debug'], 'must be error, info or debug').default('info'),
  LOG_FORMAT: z.enum(['auto', 'json', 'pretty'], 'must be auto, json or pretty').default('auto'),
  ARTIFACT_DIR: z.string().min(1, 'must be a folder').optional(),
  BACKUP_DIR: z.string().min(1, 'must be a folder').optional(),
  POSTGRES_BIN: z.string().min(1, 'must be a folder').optional(),
  MAX_CONNECTIONS_PER_PRINCIPAL: whole(1, 1_000_000).default(5000),
  MAX_CONNECTIONS_PER_ADDRESS: whole(1, 1_000_000).default(5000),
  SHUTDOWN_DELAY_MS: whole(0, 600_000).default(0),
  STATEMENT_TIMEOUT_MS: whole(100, 3_600_000).default(30000),
  SLOW_QUERY_MS: whole(1, 600_000).default(200),
  OTEL_EXPORTER_OTLP_ENDPOINT: url('http:', 'https:').optional(),
  OTEL_SERVICE_NAME: z.string().max(200).default('tidewire'),
  OTEL_TRACES_SAMPLER_ARG: part.default(1),
}
const environment = z.object(variables)

/** Of all variables that are read. */
export const settingNames: readonly string[] = Object.keys(variables)

/** Their values never appear in a message. */
const secret = new Set([
  'DATABASE_URL',
  'DATABASE_READ_URLS',
  'REDIS_URL',
  'AUTH_SECRET',
  'ENCRYPTION_KEYS',
  'EMBEDDING_KEY',
])

/** The one reader of the process environment. */
export function processEnvironment(): Readonly<Record<string, string | undefined>> {
  return process.env
}

/**
 * Reads the settings. An empty variable counts as absent. Throws `config_invalid` that names every wrong variable, its
 * value (secrets masked) and what it must be.
 */
export function loadConfig(env: Readonly<Record<string, string | undefined>>): Config {
  const given = Object.fromEntries(Object.keys(variables).flatMap((name) => (env[name] ? [[name, env[name]]] : [])))
  const parsed = environment.safeParse(given)
  const wrong = parsed.success
    ? []
    : parsed.error.issues.map(({ path, message }) => {
        const name = String(path[0])
        return `${name} is ${secret.has(name) ? '(hidden)' : JSON.stringify(env[name])}: it ${message}`
      })
  const problems = [...wrong, ...contradictions(given)]
  if (!parsed.success || problems.length > 0) {
    const uniqueProblems = [...new Set(problems)]
    throw new TideError(
      'config_invalid',
      `${uniqueProblems.length === 1 ? 'A setting is wrong' : `${uniqueProblems.length} settings are wrong`}:\n${uniqueProblems.map((line) => `  ${line}`).join('\n')}`,
    )
  }
  return assemble(parsed.data)
}

function contradictions(given: Readonly<Record<string, string | undefined>>): readonly string[] {
  const lines: string[] = []
  if (given['DATABASE_URL'] && !given['AUTH_SECRET'] && !given['AUTH_JWKS_URL']) {
    lines.push(
      'AUTH_SECRET is absent: it must be set together with DATABASE_URL (e.g. from `openssl rand -base64 32`), or AUTH_JWKS_URL instead',
    )
  }
  if (given['AUTH_SECRET'] && given['AUTH_JWKS_URL']) lines.push('AUTH_SECRET and AUTH_JWKS_URL are both set: keep one')
  for (const [name, claim] of Object.entries({ AUTH_ISSUER: 'iss', AUTH_AUDIENCE: 'aud' }))
    if (given['AUTH_JWKS_URL'] && !given[name])
      lines.push(
        `${name} is absent: it must be set together with AUTH_JWKS_URL, to the \`${claim}\` of the tokens that are meant for this server`,
      )
  if (given['BACKUP_DIR'] && !given['ENCRYPTION_KEYS'])
    lines.push(
      'ENCRYPTION_KEYS is absent: it must be set together with BACKUP_DIR (e.g. to k1:$(openssl rand -base64 32)), for backups are encrypted',
    )
  if (!given['DATABASE_URL'] && given['CAPTURE'] === 'wal') {
    lines.push(
      'CAPTURE is "wal" without DATABASE_URL: the embedded database has no logical replication; leave it out or set trigger',
    )
  }
  if (given['EMBEDDING_PROVIDER'] === 'openai') {
    for (const name of ['EMBEDDING_URL', 'EMBEDDING_MODEL'])
      if (!given[name]) lines.push(`${name} is absent: it must be set with EMBEDDING_PROVIDER "openai"`)
  }
  return lines
}

function assemble(env: z.infer<typeof environment>): Config {
  const dataDir = resolve(env.TIDEWIRE_DATA)
  const external = env.DATABASE_URL
  const poolSize = env.DATABASE_POOL_SIZE + env.DATABASE_MAX_OVERFLOW
  return {
    host: env.HOST,
    port: env.PORT,
    allowedOrigins: env.ALLOWED_ORIGINS,
    trustedProxies: env.TRUSTED_PROXIES ?? [],
    app: env.TIDEWIRE_APP === undefined ? undefined : resolve(env.TIDEWIRE_APP),
    dataDir,
    database:
      external === undefined
        ? // Connections of the embedded database take turns: more of them would only wait inside instead of outside.
          { kind: 'embedded', dataDir, poolSize: 8, ...cacheOf(env.TIDEWIRE_CACHE) }
        : { kind: 'postgres', url: external, poolSize, readUrls: env.DATABASE_READ_URLS ?? [] },
    capture: env.CAPTURE ?? (external === undefined ? 'trigger' : 'wal'),
    redisUrl: env.REDIS_URL,
    auth: toAuth(env, dataDir),
    embedding: {
      provider: env.EMBEDDING_PROVIDER,
      url: env.EMBEDDING_URL,
      key: env.EMBEDDING_KEY,
      model: env.EMBEDDING_MODEL,
      dimension: env.EMBEDDING_DIMENSION,
    },
    encryptionKeys: env.ENCRYPTION_KEYS ?? [],
    webhookPrivateTargets: env.WEBHOOK_PRIVATE_TARGETS === 'true',
    logLevel: env.LOG_LEVEL,
    logFormat: env.LOG_FORMAT,
    artifactDir: env.ARTIFACT_DIR === undefined ? undefined : resolve(env.ARTIFACT_DIR),
    backupDir: env.BACKUP_DIR === undefined ? undefined : resolve(env.BACKUP_DIR),
    postgresBin: env.POSTGRES_BIN,
    shutdownDelayMs: env.SHUTDOWN_DELAY_MS,
    statementTimeoutMs: env.STATEMENT_TIMEOUT_MS,
    slowQueryMs: env.SLOW_QUERY_MS,
    tracing:
      env.OTEL_EXPORTER_OTLP_ENDPOINT === undefined
        ? undefined
        : {
            endpoint: env.OTEL_EXPORTER_OTLP_ENDPOINT,
            serviceName: env.OTEL_SERVICE_NAME,
            ratio: env.OTEL_TRACES_SAMPLER_ARG,
          },
    limits: {
      ...defaultLimits,
      connectionsPerPrincipal: env.MAX_CONNECTIONS_PER_PRINCIPAL,
      connectionsPerAddress: env.MAX_CONNECTIONS_PER_ADDRESS,
    },
  }
}

function cacheOf(setting: string): { readonly cacheDir?: string } {
  return setting === 'off' ? {} : { cacheDir: resolve(setting.replace(/^~(?=\/)/, homedir())) }
}

function toAuth(env: z.infer<typeof environment>, dataDir: string): AuthConfig {
  if (env.AUTH_SECRET !== undefined) return { kind: 'secret', secret: env.AUTH_SECRET }
  const { AUTH_JWKS_URL: keys, AUTH_ISSUER: issuer, AUTH_AUDIENCE: audience } = env
  if (keys !== undefined && issuer !== undefined && audience !== undefined)
    return { kind: 'jwks', url: keys, issuer, audience }
  return { kind: 'stored', dataDir }
}

function toKey(entry: string, context: z.RefinementCtx): { id: string; key: Uint8Array } {
  const [id = '', encoded = ''] = entry.trim().split(':', 2)
  const key = new Uint8Array(Buffer.from(encoded, 'base64'))
  if (!/^[\w-]{1,60}$/.test(id) || key.byteLength !== 32) {
    context.addIssue({
      code: 'custom',
      message: 'must be a list id:base64,… of keys of 32 bytes, e.g. k1:$(openssl rand -base64 32)',
    })
  }
  return { id, key }
}
