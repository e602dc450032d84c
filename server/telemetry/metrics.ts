import { Counter, Gauge, Histogram, Registry, collectDefaultMetrics } from 'prom-client'
import { assess, type Readings } from './health.ts'
import type { Timed } from './vitals.ts'

/** Figures of one pool of database connections. */
export interface PoolFigures {
  readonly used: number
  readonly idle: number
  readonly waiting: number
  readonly size: number
}

/** What of a pool of pg the figures are made of. */
export interface CountedPool {
  readonly totalCount: number
  readonly idleCount: number
  readonly waitingCount: number
  readonly options: { readonly max?: number | undefined }
}

export function poolFigures({ totalCount, idleCount, waitingCount, options }: CountedPool): PoolFigures {
  return { used: totalCount - idleCount, idle: idleCount, waiting: waitingCount, size: options.max ?? 0 }
}

/** What is read when somebody asks for the metrics. */
export interface Sources {
  readonly readings: () => Promise<Readings>
  readonly connections: () => number
  /** By their names, which are labels. */
  readonly pools: () => Readonly<Record<string, CountedPool>>
  readonly hub: () => HubFigures
  /** Parts that are in trouble now. */
  readonly troubles: () => number
  /** The name of the server among others; another one at every start. */
  readonly node: string
  readonly version: string
}

/** A part of the hub's own figures. */
export interface HubFigures {
  readonly sessionsByState: Readonly<Record<string, number>>
  readonly subscriptions: number
  readonly bootstraps: number
  readonly position: number
  readonly steps: number
  readonly batches: number
  readonly bytes: number
  readonly sharedFrames: number
  readonly catchUps: number
  readonly pages: number
  /** Milliseconds by the clock; null: none yet. */
  readonly lastCanaryAt: number | null
}

/** What is counted while it happens: by message, push, step or connection, never by row. */
export interface Metrics {
  readonly contentType: string
  /** Names of the metrics of Tidewire, without those of the process. */
  readonly names: readonly string[]
  /**
   * `message`: one of this type came. `error`: a client was told this code. `refused`: the same, and its connection
   * ended before its welcome. `webhook`: one came, `delivery`: one was sent, and this was the result. `gap`: changes
   * were missed, by this cause. `foreign`: a message of the WAL was passed over, for this reason.
   */
  count(event: CountedEvent, label: string): void
  /** A push was answered after `ms`. */
  pushed(
    ms: number,
    outcomes: readonly { readonly kind: string; readonly error?: { readonly code: string } | undefined }[],
  ): void
  /** A push was refused as a whole, and nothing in it applied. */
  pushFailed(code: string): void
  stepped(step: { readonly readMs: number; readonly feedMs: number; readonly changes: number }): void
  /** Milliseconds from a commit until the hub had handed it to all live sessions, measured on a canary. */
  delivered(ms: number): void
  /** Milliseconds from the commit of a canary until a session had everything up to it, durably. */
  reached(ms: number): void
  /** Milliseconds from the commit of a client's write until a session had it durably. */
  acknowledged(ms: number): void
  /** Of all pushes, and of all canaries that were handed out. */
  readonly totals: Readonly<Record<'pushes' | 'deliveries', () => Timed>>
  stalled(): void
  /** Null: it was given up. */
  bootstrapped(ms: number | null): void
  /** Prometheus text. */
  text(): Promise<string>
}

export type CountedEvent = 'message' | 'error' | 'refused' | 'webhook' | 'delivery' | 'gap' | 'foreign'

const latencySeconds = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30]
const longSeconds = [0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300]
const pushSizes = [1, 2, 5, 10, 20, 50, 100]
const prefix = 'tidewire_'

/** Names by Prometheus conventions: base units, `_total` for counters; labels only from small closed sets. */
export function createMetrics(sources: Sources): Metrics {
  const registry = new Registry()
  const registers = [registry]
  collectDefaultMetrics({ register: registry })
  const counter = <L extends string>(name: string, help: string, ...labelNames: L[]): Counter<L> =>
    new Counter({ name: prefix + name, help, labelNames, registers })
  const histogram = (name: string, help: string, buckets: number[]): Histogram =>
    new Histogram({ name: prefix + name, help, buckets, registers })

  const messages = counter('messages_total', 'Messages of clients, by type.', 'type')
  const errors = counter('errors_total', 'Errors told to clients, by code.', 'code')
  const refusals = counter('connections_refused_total', 'Connections that ended before their welcome, by code.', 'code')
  const webhooks = counter(
    'webhooks_received_total',
    'Webhooks that came, by how they ended: an outcome, or a code.',
    'result',
  )
  const deliveries = counter('webhook_deliveries_total', 'Webhooks that were sent, by result.', 'result')
  const gaps = counter(
    'capture_gaps_total',
    'Times changes were missed and all replicas started over, by cause.',
    'cause',
  )
  const foreign = counter(
    'capture_foreign_messages_total',
    'Messages in the WAL that are not of Tidewire and were passed over, by reason.',
    'reason',
  )
  const events: Readonly<Record<CountedEvent, (label: string) => void>> = {
    message: (type) => messages.inc({ type }),
    error: (code) => errors.inc({ code }),
    webhook: (result) => webhooks.inc({ result }),
    delivery: (result) => deliveries.inc({ result }),
    gap: (cause) => gaps.inc({ cause }),
    foreign: (reason) => foreign.inc({ reason }),
    refused(code) {
      errors.inc({ code })
      refusals.inc({ code })
    },
  }
  const mutations = counter(
    'mutations_total',
    'Writes answered, by outcome, and by code when rejected.',
    'outcome',
    'code',
  )
  const pushes = histogram('push_seconds', 'From taking a push up to its stored outcomes.', latencySeconds)
  const pushSize = histogram('push_mutations', 'Writes in a push.', pushSizes)
  const pushFailures = counter('push_failures_total', 'Pushes refused as a whole, by code.', 'code')
  const reads = histogram('step_read_seconds', 'Reading one step of the live loop.', latencySeconds)
  const feeds = histogram('step_feed_seconds', 'Encoding one step and handing it to all live sessions.', latencySeconds)
  const changes = counter('step_changes_total', 'Changed rows read by the live loop.')
  const commitToHub = histogram(
    'commit_to_hub_seconds',
    'From the commit of a canary until the hub had handed it to all live sessions.',
    latencySeconds,
  )
  const commitToClient = histogram(
    'commit_to_client_seconds',
    'From the commit of a canary until a session said that it holds everything up to it.',
    latencySeconds,
  )
  const commitToAck = histogram(
    'commit_to_ack_seconds',
    'From the commit of a write until a live session said that it holds it; sampled.',
    latencySeconds,
  )
  const stalls = counter('window_stalls_total', 'Times a session was not fed because too much was unacknowledged.')
  const bootstraps = counter('bootstraps_total', 'First loads of a subscription that ended, by result.', 'result')
  const bootstrapTimes = histogram(
    'bootstrap_seconds',
    'From subscribing up to the batch that completes it.',
    longSeconds,
  )
  // Prometheus sees no increase in the first sample of a series: what is alarmed on from the first time on has one from
  // the start.
  errors.inc({ code: 'internal' }, 0)
  mutations.inc({ outcome: 'rejected', code: 'internal' }, 0)
  for (const cause of ['lost', 'unreadable', 'kept', 'altered']) gaps.inc({ cause }, 0)
  let [pushed, delivered]: [Timed, Timed] = [
    { count: 0, ms: 0 },
    { count: 0, ms: 0 },
  ]
  const plus = (total: Timed, ms: number): Timed => ({ count: total.count + 1, ms: total.ms + ms })
  const { node, version } = sources
  new Gauge({
    name: `${prefix}server_info`,
    help: '1, for the name of this server, as in system_metrics, and its version.',
    labelNames: ['node', 'version'],
    registers,
  }).set({ node, version }, 1)
  exposeHub(registers, sources)
  exposeDatabase(registers, sources)

  return {
    contentType: registry.contentType,
    get names() {
      return registry.getMetricsAsArray().flatMap(({ name }) => (name.startsWith(prefix) ? [name] : []))
    },
    count: (event, label) => events[event](label),
    pushed(ms, outcomes) {
      pushes.observe(ms / 1000)
      pushed = plus(pushed, ms)
      pushSize.observe(outcomes.length)
      for (const { kind, error } of outcomes) mutations.inc({ outcome: kind, code: error?.code ?? '' })
    },
    pushFailed: (code) => pushFailures.inc({ code }),
    stepped(step) {
      reads.observe(step.readMs / 1000)
      feeds.observe(step.feedMs / 1000)
      changes.inc(step.changes)
    },
    delivered(ms) {
      commitToHub.observe(ms / 1000)
      delivered = plus(delivered, ms)
    },
    totals: { pushes: () => pushed, deliveries: () => delivered },
    reached: (ms) => commitToClient.observe(ms / 1000),
    acknowledged: (ms) => commitToAck.observe(ms / 1000),
    stalled: () => stalls.inc(),
    bootstrapped(ms) {
      bootstraps.inc({ result: ms === null ? 'abandoned' : 'completed' })
      if (ms !== null) bootstrapTimes.observe(ms / 1000)
    },
    text: () => registry.metrics(),
  }
}

function exposeHub(registers: Registry[], { connections, hub, troubles }: Sources): void {
  const gauge = (name: string, help: string, read: (figures: HubFigures) => number): Gauge =>
    new Gauge({
      name: prefix + name,
      help,
      registers,
      collect() {
        this.set(read(hub()))
      },
    })
  /** A counter that somebody else keeps. */
  const total = (name: string, help: string, read: (figures: HubFigures) => number): Counter =>
    new Counter({
      name: prefix + name,
      help,
      registers,
      collect() {
        this.reset()
        this.inc(read(hub()))
      },
    })
  gauge('connections', 'Open connections, greeted or not.', connections)
  gauge('troubles', 'Parts of the server that are in trouble, as /ready names them.', troubles)
  new Gauge({
    name: `${prefix}sessions`,
    help: 'Sessions by state: idle, behind, live, stalled.',
    labelNames: ['state'],
    registers,
    collect() {
      const { sessionsByState } = hub()
      for (const [state, sessions] of Object.entries(sessionsByState))
        if (state !== 'ended') this.set({ state }, sessions)
    },
  })
  gauge('subscriptions', 'Subscriptions of all sessions.', ({ subscriptions }) => subscriptions)
  gauge('bootstraps_running', 'Subscriptions that are loading their first rows.', ({ bootstraps }) => bootstraps)
  gauge('hub_position', 'Position in the change log up to which the live loop has read.', ({ position }) => position)
  total('steps_total', 'Steps of the live loop.', ({ steps }) => steps)
  total('batches_total', 'Batches sent.', ({ batches }) => batches)
  total('batch_bytes_total', 'Bytes of batches sent.', ({ bytes }) => bytes)
  total(
    'shared_batches_total',
    'Batches sent whose frame had been made for another session.',
    ({ sharedFrames }) => sharedFrames,
  )
  total('catch_up_reads_total', 'Reads made for single sessions that were behind.', ({ catchUps }) => catchUps)
  total('pages_total', 'Pages of first loads read.', ({ pages }) => pages)
}

function exposeDatabase(registers: Registry[], { readings, pools }: Sources): void {
  /** Null: nothing is said. */
  const measured = (name: string, help: string, read: (readings: Readings) => number | null): Gauge =>
    new Gauge({
      name: prefix + name,
      help,
      registers,
      async collect() {
        const value = read(await readings())
        this.reset()
        if (value !== null) this.set(value)
        else this.remove()
      },
    })
  measured(
    'canary_age_seconds',
    'Since a canary came through the whole path; before the first, since the start.',
    (found) => (found.canaryAgeMs ?? found.uptimeMs) / 1000,
  )
  measured(
    'database_answer_seconds',
    'How long the database took to answer; absent when it did not.',
    ({ databaseMs }) => (databaseMs === null ? null : databaseMs / 1000),
  )
  measured('log_head', 'Newest position in the change log.', ({ database }) => database && database.head)
  measured(
    'log_retained_seconds',
    'Age of the oldest entry of the change log.',
    ({ database }) => database && (database.oldestSeconds ?? 0),
  )
  measured(
    'open_conflicts',
    'Conflicts that wait to be settled; counted up to 10000.',
    ({ database }) => database && database.openConflicts,
  )
  measured(
    'capture_lag_bytes',
    'WAL that was written and is not in the change log yet; 0 with triggers.',
    ({ slot, database }) => (slot ? Math.max(0, slot.written - slot.captured) : database && 0),
  )
  measured(
    'capture_lag_seconds',
    'How long the oldest of it has been waiting, to five seconds; 0 with triggers.',
    ({ captureLagMs, database }) => (captureLagMs === null ? database && 0 : captureLagMs / 1000),
  )
  measured(
    'slot_retained_bytes',
    'WAL that the replication slot keeps on the disk; absent with triggers.',
    ({ slot }) => slot && slot.retainedBytes,
  )
  measured(
    'slot_active',
    '1 while a server reads the replication slot; absent with triggers.',
    ({ slot }) => slot && Number(slot.active),
  )
  new Gauge({
    name: `${prefix}health_ok`,
    help: '1 for each part of the health that is well (GET /ready).',
    labelNames: ['part'],
    registers,
    async collect() {
      this.reset()
      for (const { name, ok } of assess(await readings()).checks) this.set({ part: name }, Number(ok))
    },
  })
  const pool = (name: string, help: string, read: (figures: PoolFigures) => number): Gauge =>
    new Gauge({
      name: prefix + name,
      help,
      labelNames: ['pool'],
      registers,
      collect() {
        for (const [label, one] of Object.entries(pools())) this.set({ pool: label }, read(poolFigures(one)))
      },
    })
  pool('pool_connections_used', 'Database connections in use, by pool.', ({ used }) => used)
  pool('pool_connections_idle', 'Database connections open and idle, by pool.', ({ idle }) => idle)
  pool('pool_connections_limit', 'The most connections of a pool.', ({ size }) => size)
  pool('pool_waiting', 'Requests that wait for a database connection, by pool.', ({ waiting }) => waiting)
}
