import { ROOT_CONTEXT, SpanKind, SpanStatusCode, trace, type Attributes, type Tracer } from '@opentelemetry/api'
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-http'
import { resourceFromAttributes } from '@opentelemetry/resources'
import * as sdk from '@opentelemetry/sdk-trace'
import type { Clock } from '../../lib/clock.ts'
import type { Random } from '../../lib/random.ts'
import { errorText, type Log } from './telemetry.ts'

/** Where traces go. */
export interface TracingConfig {
  /** Base URL of an OTLP receiver that takes JSON over HTTP; `/v1/traces` is added. */
  readonly endpoint: string
  readonly serviceName: string
  /** The part of all pushes that is traced, 0 to 1. */
  readonly ratio: number
}

export interface Tracing {
  /** A push begins at `at` (monotonic milliseconds, as all times here). Undefined: it is not among the traced ones. */
  begin(mutationId: string, at: number, mutations: number): PushTrace | undefined
  /** Sends what has not been sent. */
  close(): Promise<void>
}

/** The way of one push. What happens after its answer belongs to it too. */
export interface PushTrace {
  span(stage: 'decide' | 'commit' | 'capture' | 'batch' | 'acknowledge', from: number, to: number): void
  answered(at: number, outcomes: readonly { readonly kind: string }[]): void
  failed(at: number, code: string): void
}

export interface TracingOptions {
  readonly config: TracingConfig
  readonly clock: Clock
  readonly random: Random
  readonly log: Log
  readonly version: string
}

/** How often a receiver that does not answer is mentioned. Milliseconds. */
const complainMs = 60_000
const exportMs = 1000
const sendMs = 5000
const queuedSpans = 8192

/** Begins to trace. A server without a receiver never loads this file. */
export function startTracing({ config, clock, random, log, version }: TracingOptions): Tracing {
  const exporter = new OTLPTraceExporter({
    url: `${config.endpoint.replace(/\/$/, '')}/v1/traces`,
    timeoutMillis: sendMs,
  })
  let complainedAt = Number.NEGATIVE_INFINITY
  const complain = (error: Error | undefined): void => {
    if (clock.monotonic() - complainedAt < complainMs) return
    complainedAt = clock.monotonic()
    log.error('Traces could not be sent', {
      endpoint: new URL(config.endpoint).origin,
      error: error ? errorText(error) : 'unknown',
    })
  }
  const ids = new WriteIds(random)
  const provider = new sdk.TracerProvider({
    resource: resourceFromAttributes({ 'service.name': config.serviceName, 'service.version': version }),
    sampler: new sdk.TraceIdRatioBasedSampler(config.ratio),
    idGenerator: ids,
    spanProcessors: [
      new sdk.BatchSpanProcessor({
        exporter: {
          export: (spans, done) =>
            exporter.export(spans, (result) => {
              if (result.code !== 0) complain(result.error)
              done(result)
            }),
          shutdown: () => exporter.shutdown(),
        },
        scheduledDelayMillis: exportMs,
        exportTimeoutMillis: sendMs,
        maxQueueSize: queuedSpans,
      }),
    ],
  })
  const tracer = provider.getTracer('tidewire', version)
  return {
    begin(mutationId, at, mutations) {
      ids.nextTrace = mutationId
      return beginPush(tracer, clock, { mutationId, at, mutations })
    },
    close: () => provider.shutdown().catch(complain),
  }
}

/** A write's trace has the id of the write, so that both sides can find it without a word on the wire. */
class WriteIds {
  readonly #random: Random
  /** UUID of the next trace's first write. */
  nextTrace = ''

  constructor(random: Random) {
    this.#random = random
  }

  generateTraceId(): string {
    return this.nextTrace.replaceAll('-', '')
  }

  generateSpanId(): string {
    // All zeros would be no id.
    const [first = 0, ...rest] = this.#random.bytes(8)
    return Buffer.from([first || 1, ...rest]).toString('hex')
  }
}

function beginPush(
  tracer: Tracer,
  clock: Clock,
  { mutationId, at, mutations }: { readonly mutationId: string; readonly at: number; readonly mutations: number },
): PushTrace | undefined {
  const origin = clock.now() - clock.monotonic()
  const root = tracer.startSpan(
    'push',
    { root: true, kind: SpanKind.SERVER, startTime: origin + at, attributes: { 'tidewire.mutations': mutations } },
    ROOT_CONTEXT,
  )
  if (!root.isRecording()) return undefined
  root.setAttribute('tidewire.mutation_id', mutationId)
  const within = trace.setSpan(ROOT_CONTEXT, root)
  return {
    span(stage, from, to) {
      tracer.startSpan(stage, { startTime: origin + from }, within).end(origin + Math.max(from, to))
    },
    answered(to, outcomes) {
      root.setAttributes(countsOf(outcomes))
      root.end(origin + to)
    },
    failed(to, code) {
      root.setStatus({ code: SpanStatusCode.ERROR, message: code })
      root.end(origin + to)
    },
  }
}

function countsOf(outcomes: readonly { readonly kind: string }[]): Attributes {
  const counts: Record<string, number> = {}
  for (const { kind } of outcomes) counts[`tidewire.outcomes.${kind}`] = (counts[`tidewire.outcomes.${kind}`] ?? 0) + 1
  return counts
}
