// From what mutations and hub tell to metrics and traces.
import { expect, test } from 'vitest'
import { createObservation } from '../../server/telemetry/observation.ts'
import type { Tracing } from '../../server/telemetry/tracing.ts'
import { ManualClock } from '../support/manual-clock.ts'
import { metricsOfNobody } from '../support/metrics.ts'

const quiet = { changes: 0, marks: [], canaryMs: null, askedAt: 0, readAt: 0 } as const

/** Keeps the names of the spans of each push. */
function keepSpans(): { readonly tracing: Tracing; readonly spans: ReadonlyMap<string, string[]> } {
  const spans = new Map<string, string[]>()
  const tracing: Tracing = {
    begin(id) {
      const names: string[] = []
      spans.set(id, names)
      return { span: (name) => names.push(name), answered: () => undefined, failed: () => undefined }
    },
    close: async () => undefined,
  }
  return { tracing, spans }
}

const rejected = { kind: 'rejected', error: { code: 'forbidden' } } as const

test('the time to a client ends when a session says what it holds, however late', async () => {
  const clock = new ManualClock()
  const metrics = metricsOfNobody()
  const { hub } = createObservation({ clock, metrics })
  const now = clock.monotonic()
  hub.reading({ ...quiet, to: 7, canaryMs: 40, askedAt: now, readAt: now })
  await clock.advance(20_000)
  hub.acknowledged(6)
  hub.acknowledged(7)
  const text = await metrics.text()
  expect(text).toContain('tidewire_commit_to_client_seconds_count 1')
  expect(text).toContain('tidewire_commit_to_client_seconds_sum 20.04')
})

test('a push whose first writes are refused is followed by the first that was committed', () => {
  const clock = new ManualClock()
  const { tracing, spans } = keepSpans()
  const { push, hub } = createObservation({ clock, metrics: metricsOfNobody(), tracing })
  const outcomes = [
    { mutationId: 'a', ...rejected },
    { mutationId: 'b', kind: 'applied' },
    { mutationId: 'c', kind: 'applied' },
  ]
  const stages = push.began([{ id: 'a' }, { id: 'b' }, { id: 'c' }])
  stages.decided(outcomes)
  stages.committed()
  stages.answered(outcomes)
  hub.reading({ ...quiet, to: 1, marks: [{ mutationId: 'c' }, { mutationId: 'b' }] })?.acknowledged()
  hub.stepped({ ...quiet, to: 1, fedAt: 0 })
  expect(spans.get('a')).toEqual(['decide', 'commit', 'acknowledge', 'capture', 'batch'])
})

test('a push that is tried again write by write is followed by the first of them that was committed', () => {
  const clock = new ManualClock()
  const { tracing, spans } = keepSpans()
  const { push, hub } = createObservation({ clock, metrics: metricsOfNobody(), tracing })
  const stages = push.began([{ id: 'a' }, { id: 'b' }])
  // All together: decided, and rolled back.
  stages.decided([
    { mutationId: 'a', kind: 'applied' },
    { mutationId: 'b', kind: 'applied' },
  ])
  stages.decided([{ mutationId: 'a', ...rejected }])
  stages.committed()
  stages.decided([{ mutationId: 'b', kind: 'applied' }])
  stages.committed()
  hub.reading({ ...quiet, to: 1, marks: [{ mutationId: 'a' }] })
  hub.stepped({ ...quiet, to: 1, fedAt: 0 })
  expect(spans.get('a')).not.toContain('capture')
  hub.reading({ ...quiet, to: 2, marks: [{ mutationId: 'b' }] })
  hub.stepped({ ...quiet, to: 2, fedAt: 0 })
  expect(spans.get('a')).toContain('capture')
})
