import type pg from 'pg'
import type { CancelTimer, Clock } from '../../lib/clock.ts'
import type { Json } from '../../protocol/rows/row.ts'
import type { Subscription } from '../../protocol/messages/subscription.ts'
import type { DevicePrincipal } from '../scope/principal.ts'
import { errorText, type Log } from '../telemetry/telemetry.ts'

/**
 * How far each device is, for people and health checks: `sync_subscriptions`, and the figures of `devices`. Nothing
 * reads it to decide anything, so it may lag: what sessions tell is kept in memory, and once a second one statement
 * writes what differs from what was written, for so many devices. A device that is up to date and stays so is written
 * once a minute.
 */
export interface DeviceStandings {
  open(principal: DevicePrincipal, session: StandingSession): Standing
  /** What is not written yet is not written any more: a server that ends waits for no database. */
  stop(): void
}

export interface StandingSession {
  /** The highest number of a write that the device has given out, and that was answered, as of its hello. */
  readonly given: number
  readonly answered: number
  /** Whether everything that was sent is acknowledged. */
  readonly caughtUp: () => boolean
}

/** What one session tells. */
export interface Standing {
  subscribed(subscription: Subscription & { readonly held: boolean }): void
  unsubscribed(id: string): void
  /** All first rows of the subscription are there. */
  activated(id: string): void
  acknowledged(): void
  pushed(mutations: readonly { readonly clientSeq: number }[]): void
  answered(outcomes: readonly { readonly clientSeq: number; readonly kind: string }[]): void
  ended(): void
}

export interface StandingsOptions {
  readonly pool: Pick<pg.Pool, 'query'>
  readonly clock: Clock
  readonly log: Log
  /** At most one statement in this time. Milliseconds. */
  readonly everyMs?: number
}

/** Devices of one statement; the others wait for the next. */
const mostDevices = 200
/** What is acknowledged within this time was never late. Milliseconds. */
const lateMs = 5000
/** An acknowledgement is written when it is so much newer than what was written. Milliseconds. */
const ackMs = 60_000
/** Who acknowledges nothing tells nothing: all are looked at in this time. Milliseconds. */
const sweepMs = 60_000

interface Followed {
  readonly channel: string
  readonly embeddings: boolean
  readonly filter: Json
  readonly bootstrapped: boolean
}

interface Channel {
  readonly device_id: string
  readonly organization_id: string
  readonly channel: string
  readonly bootstrapped: boolean
  readonly embeddings: boolean
  readonly filter: Json
  readonly late: boolean
  readonly pending: number
  readonly acked: string | null
}

class Device implements Standing {
  readonly principal: DevicePrincipal
  readonly #session: StandingSession
  readonly #touched: (device: Device) => void
  readonly #followed = new Map<string, Followed>()
  readonly #clock: Pick<Clock, 'now'>
  #gone = new Set<string>()
  #given: number
  #answered: number
  #ackedAt: number | null = null
  #behindSince: number | null = null
  /** Told of conflicts since the last writing, which only the database can count. */
  #recount = true
  #written = ''
  #writtenAck = 0
  isOpen = true

  constructor(
    principal: DevicePrincipal,
    session: StandingSession,
    clock: Pick<Clock, 'now'>,
    touched: (device: Device) => void,
  ) {
    this.principal = principal
    this.#session = session
    this.#clock = clock
    this.#touched = touched
    this.#given = session.given
    this.#answered = session.answered
    touched(this)
  }

  subscribed({ id, channel, embeddings, where, held }: Subscription & { readonly held: boolean }): void {
    const known = this.#followed.get(id)
    const bootstrapped = held || (known?.channel === channel && known.bootstrapped)
    this.#followed.set(id, { channel, embeddings, filter: (where ?? {}) as Json, bootstrapped })
    this.#gone.delete(channel)
    this.#touched(this)
  }

  unsubscribed(id: string): void {
    const channel = this.#followed.get(id)?.channel
    this.#followed.delete(id)
    if (channel === undefined || [...this.#followed.values()].some((other) => other.channel === channel)) return
    this.#gone.add(channel)
    this.#touched(this)
  }

  activated(id: string): void {
    const followed = this.#followed.get(id)
    if (followed) this.#followed.set(id, { ...followed, bootstrapped: true })
    this.#touched(this)
  }

  acknowledged(): void {
    this.#ackedAt = this.#clock.now()
    this.#touched(this)
  }

  pushed(mutations: readonly { readonly clientSeq: number }[]): void {
    for (const { clientSeq } of mutations) this.#given = Math.max(this.#given, clientSeq)
  }

  answered(outcomes: readonly { readonly clientSeq: number; readonly kind: string }[]): void {
    for (const { clientSeq, kind } of outcomes) {
      this.#answered = Math.max(this.#answered, clientSeq)
      this.#recount ||= kind === 'conflict'
    }
    this.#touched(this)
  }

  ended(): void {
    this.isOpen = false
    this.#touched(this)
  }

  /** What is to be written, and undefined when that is what was written already. */
  news(): { readonly channels: readonly Channel[]; readonly gone: readonly string[] } | undefined {
    const now = this.#clock.now()
    this.#behindSince = this.#session.caughtUp() ? null : (this.#behindSince ?? now)
    const late = this.#behindSince !== null && now - this.#behindSince >= lateMs
    const channels = this.#channels(late)
    const gone = [...this.#gone]
    const state = JSON.stringify([channels.map(({ acked: _acked, ...rest }) => rest), gone])
    const isNew = state !== this.#written || this.#recount || (this.#ackedAt ?? 0) - this.#writtenAck >= ackMs
    if (!isNew) return undefined
    this.#gone = new Set()
    this.#recount = false
    this.#written = gone.length === 0 ? state : JSON.stringify([channels.map(({ acked: _acked, ...rest }) => rest), []])
    this.#writtenAck = this.#ackedAt ?? 0
    return { channels, gone }
  }

  /** Sent, not acknowledged, and not late yet: to be looked at again. */
  get isWaiting(): boolean {
    return this.isOpen && this.#behindSince !== null && this.#clock.now() - this.#behindSince < lateMs
  }

  #channels(late: boolean): readonly Channel[] {
    const byChannel = new Map<string, Channel>()
    for (const { channel, embeddings, filter, bootstrapped } of this.#followed.values()) {
      const known = byChannel.get(channel)
      byChannel.set(channel, {
        device_id: this.principal.deviceId,
        organization_id: this.principal.organizationId,
        channel,
        bootstrapped: bootstrapped && (known?.bootstrapped ?? true),
        embeddings: embeddings || (known?.embeddings ?? false),
        filter,
        late,
        pending: Math.max(0, this.#given - this.#answered),
        acked: this.#ackedAt === null ? null : new Date(this.#ackedAt).toISOString(),
      })
    }
    return [...byChannel.values()]
  }
}

/**
 * $1 rows, $2 and $3 the places that are followed no more. In order of id, so that two servers never wait in a circle.
 * The commit waits for no disk and no standby: nothing depends on it, and a push of a device waits for who has its row.
 */
const write = `
with news as (
  select r.*, (select count(*)::int from sync_conflicts c where c.device_id = r.device_id and c.status = 'open' and c.channel = r.channel) as conflicts
  from json_to_recordset($1::json) as r(device_id uuid, organization_id uuid, channel text, bootstrapped boolean, embeddings boolean, filter jsonb,
    late boolean, pending integer, acked timestamptz)
  where exists (select from devices d where d.id = r.device_id) and (select set_config('synchronous_commit', 'off', true)) = 'off'
), standing as (
  select *, case when conflicts > 0 then 'conflict' when not bootstrapped then 'local' when late or pending > 0 then 'syncing' else 'synced' end as status from news
), gone as (
  delete from sync_subscriptions s using unnest($2::uuid[], $3::text[]) as g(device_id, channel) where s.device_id = g.device_id and s.channel = g.channel
), stored as (
  insert into sync_subscriptions as s
    (device_id, organization_id, channel, bootstrapped_at, include_embeddings, filter, sync_status, pending_mutations, open_conflicts, last_ack_at)
  select device_id, organization_id, channel, case when bootstrapped then now() end, embeddings, filter, status, pending, conflicts, acked
  from standing order by device_id, channel
  on conflict (device_id, channel) do update set
    bootstrapped_at = case when excluded.bootstrapped_at is not null then coalesce(s.bootstrapped_at, excluded.bootstrapped_at) end,
    include_embeddings = excluded.include_embeddings, filter = excluded.filter, sync_status = excluded.sync_status,
    pending_mutations = excluded.pending_mutations, open_conflicts = excluded.open_conflicts, last_ack_at = coalesce(excluded.last_ack_at, s.last_ack_at)
), figures as (
  select device_id, max(pending) as pending,
    (array_agg(status order by array_position(array['conflict', 'local', 'syncing', 'synced'], status)))[1] as status
  from standing group by device_id
), changed as (
  select d.id, f.status, f.pending from devices d join figures f on f.device_id = d.id
  where (d.sync_status, d.pending_mutations) is distinct from (f.status, f.pending) order by d.id for no key update of d
)
update devices d set sync_status = c.status, pending_mutations = c.pending from changed c where d.id = c.id`

export function createDeviceStandings({ pool, clock, log, everyMs = 1000 }: StandingsOptions): DeviceStandings {
  /** Those that were told something since they were last looked at. */
  const touched = new Set<Device>()
  const open = new Set<Device>()
  let cancel: CancelTimer | undefined
  let cancelSweep: CancelTimer | undefined
  let writing: Promise<void> | undefined
  let isStopped = false

  const schedule = (): void => {
    if (isStopped || writing || cancel || touched.size === 0) return
    cancel = clock.after(everyMs, () => {
      cancel = undefined
      writing = writeSome().finally(() => {
        writing = undefined
        schedule()
      })
    })
  }
  const touch = (device: Device): void => {
    if (device.isOpen) open.add(device)
    else open.delete(device)
    touched.add(device)
    cancelSweep ??= isStopped ? undefined : clock.after(sweepMs, sweep)
    schedule()
  }
  function sweep(): void {
    cancelSweep = open.size === 0 ? undefined : clock.after(sweepMs, sweep)
    for (const device of open) touched.add(device)
    schedule()
  }

  async function writeSome(): Promise<void> {
    const channels: Channel[] = []
    const gone: { readonly deviceId: string; readonly channel: string }[] = []
    const waiting: Device[] = []
    let devices = 0
    for (const device of touched) {
      touched.delete(device)
      const news = device.news()
      if (device.isWaiting) waiting.push(device)
      if (!news) continue
      channels.push(...news.channels)
      gone.push(...news.gone.map((channel) => ({ deviceId: device.principal.deviceId, channel })))
      if (++devices === mostDevices) break
    }
    for (const device of waiting) touched.add(device)
    if (channels.length + gone.length === 0) return
    try {
      const values = [
        JSON.stringify(channels),
        gone.map(({ deviceId }) => deviceId),
        gone.map(({ channel }) => channel),
      ]
      await pool.query({ name: 'write_standings', text: write, values })
    } catch (error) {
      // The next change of each is written again; nothing depends on it.
      log.debug('Standings of devices were not written', { devices, error: errorText(error) })
    }
  }

  return {
    open: (principal, session) => new Device(principal, session, clock, touch),
    stop() {
      isStopped = true
      cancel?.()
      cancelSweep?.()
    },
  }
}
