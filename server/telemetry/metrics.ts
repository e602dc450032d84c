import { Counter, Gauge, Registry, collectDefaultMetrics } from 'prom-client'

/** Numbers that are read when somebody asks. */
export interface Sources {
  readonly connections: () => number
  readonly liveSessions: () => number
  readonly poolUsed: () => number
  readonly poolWaiting: () => number
  /** Seconds since the last canary came through the whole path; -1 before the first. */
  readonly canaryAgeSeconds: () => number
  readonly batches: () => number
  readonly batchBytes: () => number
}

export interface Metrics {
  readonly contentType: string
  /** Counts messages by type, and refusals by error code. */
  count(event: 'message' | 'error', label: string): void
  /** Prometheus text. */
  text(): Promise<string>
}

export function createMetrics(sources: Sources): Metrics {
  const registers = [new Registry()]
  const [registry = new Registry()] = registers
  collectDefaultMetrics({ register: registry })
  const messages = new Counter({
    name: 'tidewire_messages_total',
    help: 'Messages of clients by type.',
    labelNames: ['type'],
    registers,
  })
  const failures = new Counter({
    name: 'tidewire_errors_total',
    help: 'Errors told to clients by code.',
    labelNames: ['code'],
    registers,
  })
  const gauge = (name: string, help: string, read: () => number): void => {
    new Gauge({
      name: `tidewire_${name}`,
      help,
      registers,
      collect() {
        this.set(read())
      },
    })
  }
  gauge('connections', 'Open connections.', sources.connections)
  gauge('live_sessions', 'Sessions that are fed live.', sources.liveSessions)
  gauge('pool_used', 'Database connections in use.', sources.poolUsed)
  gauge('pool_waiting', 'Requests that wait for a database connection.', sources.poolWaiting)
  gauge('canary_age_seconds', 'Time since a canary commit came through the whole path.', sources.canaryAgeSeconds)
  gauge('batches_sent', 'Batches sent since start.', sources.batches)
  gauge('batch_bytes_sent', 'Bytes of batches sent since start.', sources.batchBytes)
  return {
    contentType: registry.contentType,
    count: (event, label) => (event === 'message' ? messages.inc({ type: label }) : failures.inc({ code: label })),
    text: () => registry.metrics(),
  }
}
