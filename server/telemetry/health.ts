import type { Clock, CancelTimer } from '../../lib/clock.ts'
import { LagClock } from './lag-clock.ts'

/** One part of the server's health: what was measured, and how much of it is still well. */
export interface HealthCheck {
  readonly name: 'database' | 'canary' | 'capture' | 'slot' | 'redis' | 'retention' | 'pool' | 'upkeep'
  readonly ok: boolean
  /**
   * Without it the server cannot serve: `/ready` answers 503. The others want somebody to look, but another server
   * would fare no better.
   */
  readonly essential: boolean
  /** Null: could not be measured, or there is nothing to measure yet. */
  readonly value: number | null
  /** The most that is well; null: there is no number, `detail` says it all. */
  readonly limit: number | null
  readonly unit: 'ms' | 'bytes' | 's' | 'requests' | null
  /** In words, for people. */
  readonly detail: string
}

export interface Health {
  /** Every essential part is well. */
  readonly ready: boolean
  readonly checks: readonly HealthCheck[]
}

/** What the replication slot says of itself. Positions are bytes of WAL since the beginning. */
export interface SlotFigures {
  readonly name: string
  readonly active: boolean
  /** `pg_replication_slots.wal_status`: reserved, extended, unreserved, lost; null: there is no slot. */
  readonly state: string | null
  readonly retainedBytes: number
  /** `max_slot_wal_keep_size`; null: unlimited. */
  readonly keepBytes: number | null
  readonly written: number
  readonly captured: number
  /**
   * The transaction that has been open for longest of those that wrote: the slot keeps all WAL since it began. Absent:
   * there is none.
   */
  readonly oldest?: OpenTransaction | undefined
}

export interface OpenTransaction {
  /** `process 123`, or `prepared transaction …`; with `of database …` where it is of another one. */
  readonly by: string
  readonly seconds: number
}

export interface DatabaseFigures {
  readonly head: number
  /** Age of the oldest entry of the log in seconds; null: the log is empty. */
  readonly oldestSeconds: number | null
  /** How long the log's entries are kept; null: for ever, as under a legal hold. */
  readonly keepSeconds: number | null
  /** At most `countedConflicts`. */
  readonly openConflicts: number
}

/** Everything measured at one time; `database` null: it did not answer. */
export interface Readings {
  readonly databaseMs: number | null
  readonly database: DatabaseFigures | null
  /** Null: changes are captured by trigger, or the database did not answer. */
  readonly slot: SlotFigures | null
  readonly captureLagMs: number | null
  readonly canaryAgeMs: number | null
  readonly uptimeMs: number
  readonly poolWaiting: number
  readonly poolSize: number
  /** Null: there is no Redis in this setting. */
  readonly redis: RedisFigures | null
  /** What of the database somebody should see to; null: not looked at yet. */
  readonly neglected: readonly string[] | null
}

export interface RedisFigures {
  readonly ok: boolean
  readonly detail: string
}

/** The conflicts that are counted; beyond it is "that many or more". */
const countedConflicts = 10_000

/** The most that is well. */
export const healthLimits = {
  databaseMs: 2000,
  canaryMs: 30_000,
  captureLagMs: 30_000,
  /** Where `max_slot_wal_keep_size` is unlimited; else half of that. */
  slotBytes: 8 * 1024 ** 3,
  /** How much older than its retention an entry of the log may become. */
  retentionGraceSeconds: 24 * 3600,
} as const

const figuresSql = `
select (select coalesce(max(seq), 0)::float8 from sync_changes) as head,
  (select extract(epoch from clock_timestamp() - occurred_at)::float8 from sync_changes order by seq, ordinal limit 1) as "oldestSeconds",
  (select extract(epoch from keep_for)::float8 from retention_policies
    where name = 'sync_changes' and organization_id is null and is_enabled and not legal_hold and action <> 'keep') as "keepSeconds",
  (select count(*)::integer from (select from sync_conflicts where status = 'open' limit ${countedConflicts}) open) as "openConflicts"`

export type Query = <R extends object>(text: string) => Promise<readonly R[]>

export async function readFigures(query: Query): Promise<DatabaseFigures> {
  const [row] = await query<DatabaseFigures>(figuresSql)
  if (!row) throw new Error('The database answered without a row.')
  return row
}

/** Judges what was measured. */
export function assess(readings: Readings): Health {
  const checks = [
    database(readings),
    canary(readings),
    capture(readings),
    ...(readings.slot ? [slot(readings.slot)] : []),
    ...(readings.redis ? [redis(readings.redis)] : []),
    retention(readings),
    pool(readings),
    upkeep(readings),
  ]
  return { ready: checks.every(({ ok, essential }) => ok || !essential), checks }
}

function database({ databaseMs }: Readings): HealthCheck {
  const limit = healthLimits.databaseMs
  const answered = databaseMs !== null
  return {
    name: 'database',
    ok: answered && databaseMs <= limit,
    essential: true,
    value: databaseMs,
    limit,
    unit: 'ms',
    detail: answered ? 'answers' : 'does not answer: is it up, and can it be reached?',
  }
}

/** Before the first, the time since the start counts. */
function canary({ canaryAgeMs, uptimeMs }: Readings): HealthCheck {
  const limit = healthLimits.canaryMs
  const ok = (canaryAgeMs ?? uptimeMs) <= limit
  const seen =
    canaryAgeMs === null ? 'none has come through yet' : 'since the last commit came through capture, log and hub'
  return {
    name: 'canary',
    ok,
    essential: true,
    value: canaryAgeMs,
    limit,
    unit: 'ms',
    detail: ok ? seen : `${seen}; live updates stand still: look at database and capture, then at the log`,
  }
}

function capture({ slot: state, captureLagMs, database: figures }: Readings): HealthCheck {
  const part = { name: 'capture', essential: false, limit: healthLimits.captureLagMs, unit: 'ms' } as const
  if (!figures) return { ...part, ok: false, value: null, detail: 'not known while the database does not answer' }
  if (captureLagMs === null || !state)
    return { ...part, ok: true, value: 0, detail: 'by trigger: the log is written in the commit itself' }
  const behind = Math.max(0, state.written - state.captured)
  return {
    ...part,
    ok: captureLagMs <= part.limit,
    value: captureLagMs,
    detail: `from the WAL, ${formatBytes(behind)} behind`,
  }
}

function slot({ name, active, state, retainedBytes, keepBytes, oldest }: SlotFigures): HealthCheck {
  const limit = keepBytes === null ? healthLimits.slotBytes : keepBytes / 2
  const lost = state === null || state === 'lost' || state === 'unreserved'
  const much = retainedBytes > limit
  const since = oldest && `, since ${oldest.by} began to write ${Math.round(oldest.seconds)} s ago and has not ended`
  const kept = `${name} keeps ${formatBytes(retainedBytes)} of WAL${much && since ? since : ''}`
  return {
    name: 'slot',
    ok: !lost && !much && active,
    essential: false,
    value: state === null ? null : retainedBytes,
    limit,
    unit: 'bytes',
    detail:
      state === null
        ? `${name} does not exist: the server makes it when it starts to capture`
        : lost
          ? `${name} is ${state}: WAL it needs was or will be removed, and all replicas start over`
          : active
            ? kept
            : `${kept}, and no server reads it`,
  }
}

/** A server with REDIS_URL: whether Redis answers, and why it does not let its stream be read, if so. */
export function redisFigures({
  isUp,
  refusal,
}: {
  readonly isUp: boolean
  readonly refusal?: string | undefined
}): RedisFigures {
  const away =
    'does not answer: presence stays on its server, and other servers notice commits a little later; nothing waits for it'
  const detail = refusal === undefined ? 'connected' : `answers, and refuses XREAD: ${refusal}`
  return { ok: isUp && refusal === undefined, detail: isUp ? detail : away }
}

function redis({ ok, detail }: RedisFigures): HealthCheck {
  return { name: 'redis', ok, essential: false, value: null, limit: null, unit: null, detail }
}

function retention({ database: figures }: Readings): HealthCheck {
  const keep = figures?.keepSeconds ?? null
  const limit = keep === null ? null : keep + healthLimits.retentionGraceSeconds
  const oldest = figures?.oldestSeconds ?? null
  const ok = figures !== null && (limit === null || (oldest ?? 0) <= limit)
  return {
    name: 'retention',
    ok,
    essential: false,
    value: oldest === null ? null : Math.round(oldest),
    limit,
    unit: 's',
    detail: !figures
      ? 'not known while the database does not answer'
      : ok
        ? 'age of the oldest entry of the change log'
        : 'the change log is not pruned: look for “A maintenance job failed” in the log',
  }
}

function pool({ poolWaiting, poolSize }: Readings): HealthCheck {
  const ok = poolWaiting <= poolSize
  return {
    name: 'pool',
    ok,
    essential: false,
    value: poolWaiting,
    limit: poolSize,
    unit: 'requests',
    detail: ok
      ? 'wait for a database connection'
      : 'wait for a database connection: raise DATABASE_POOL_SIZE, or add a server',
  }
}

function upkeep({ neglected }: Readings): HealthCheck {
  const wrong = neglected ?? []
  return {
    name: 'upkeep',
    ok: wrong.length === 0,
    essential: false,
    value: neglected && wrong.length,
    limit: 0,
    unit: null,
    detail:
      neglected === null
        ? 'not looked at yet'
        : wrong.length === 0
          ? 'partitions, analytics, backups and statements are as they should be'
          : `${wrong.join(', ')}: see \`npx tidewire health\``,
  }
}

export function formatBytes(bytes: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB']
  const power = Math.min(units.length - 1, Math.floor(Math.log2(Math.max(1, bytes)) / 10))
  const value = bytes / 1024 ** power
  return `${value >= 100 || power === 0 ? Math.round(value) : value.toFixed(1)} ${units[power] ?? 'B'}`
}

export interface HealthOptions {
  readonly clock: Clock
  readonly query: Query
  /** Absent: changes are captured by trigger. */
  readonly slot?: () => Promise<SlotFigures>
  /** Absent: this server has no Redis. */
  readonly redis?: () => RedisFigures
  readonly canaryAgeMs: () => number | null
  readonly pool: { readonly waiting: () => number; readonly size: number }
  /**
   * What of the database somebody should see to; asked every five minutes, and every minute while there is something.
   */
  readonly neglected: () => Promise<readonly string[]>
}

export interface HealthWatch {
  /**
   * Measures now; callers within a second share one measurement. Never rejects, and answers in a little over two
   * seconds at the latest.
   */
  read(): Promise<Readings>
  stop(): void
}

const lookMs = 5000
const freshMs = 1000
/**
 * What is told by days need not be asked by seconds, and the first answer can wait until the server has begun its work.
 */
const upkeepMs = 5 * 60_000
const firstUpkeepMs = 30_000
/** While something is neglected, or could not be asked: who mends it wants to see that. */
const neglectedMs = 60_000

/** Measures every five seconds, so that lags have a history, and when asked. */
export function watchHealth(options: HealthOptions): HealthWatch {
  const { clock } = options
  const startedAt = clock.monotonic()
  const lag = new LagClock()
  let last: { readonly at: number; readonly readings: Promise<Readings> } | undefined
  let cancel: CancelTimer = () => undefined
  let cancelUpkeep: CancelTimer = () => undefined
  let neglected: readonly string[] | null = null
  let stopped = false

  async function measure(): Promise<Readings> {
    const began = clock.monotonic()
    const figures = await inTime(clock, Promise.all([readFigures(options.query), options.slot?.()]))
    const [database = null, state = null] = figures ?? []
    return {
      databaseMs: figures ? Math.round(clock.monotonic() - began) : null,
      database,
      slot: state,
      captureLagMs: state && lag.look(clock.monotonic(), state.written, state.captured),
      canaryAgeMs: options.canaryAgeMs(),
      uptimeMs: clock.monotonic() - startedAt,
      poolWaiting: options.pool.waiting(),
      poolSize: options.pool.size,
      redis: options.redis?.() ?? null,
      neglected,
    }
  }

  function read(): Promise<Readings> {
    const at = clock.monotonic()
    if (!last || at - last.at > freshMs) last = { at, readings: measure() }
    return last.readings
  }

  function look(): void {
    void read().then(() => {
      if (!stopped) cancel = clock.after(lookMs, look)
    })
  }

  function lookAtUpkeep(): void {
    void options
      .neglected()
      .then(
        (found) => {
          neglected = found
          return found.length === 0
        },
        () => false,
      )
      .then((isWell) => {
        if (!stopped) cancelUpkeep = clock.after(isWell ? upkeepMs : neglectedMs, lookAtUpkeep)
      })
  }

  cancel = clock.after(0, look)
  cancelUpkeep = clock.after(firstUpkeepMs, lookAtUpkeep)
  return {
    read,
    stop() {
      stopped = true
      cancel()
      cancelUpkeep()
    },
  }
}

/** Undefined: it failed, or took longer than a healthy database may. */
async function inTime<T>(clock: Clock, work: Promise<T>): Promise<T | undefined> {
  let cancel: CancelTimer = () => undefined
  const late = new Promise<undefined>((resolve) => {
    cancel = clock.after(healthLimits.databaseMs + 100, () => resolve(undefined))
  })
  try {
    return await Promise.race([work.catch(() => undefined), late])
  } finally {
    cancel()
  }
}
