import { expect, test } from 'vitest'
import { parseDown } from '../../protocol/parse.ts'
import { ChannelIndex } from '../../server/hub/route.ts'
import type { Spec } from '../../server/hub/spec.ts'
import { noExtras, StepFrames } from '../../server/hub/step-frames.ts'
import { change, spec, step, tables, taskId } from './changes.ts'

const limits = { partRows: 2, partBytes: 1_000_000 }
const changes = [1, 2, 3].map((number) => change(number))

function framesFor(specs: readonly Spec[]): StepFrames {
  const index = new ChannelIndex()
  for (const one of specs) index.add(one)
  const marks = [{ deviceId: 'd', mutationId: taskId(9) }]
  return new StepFrames(
    step(changes, { marks }),
    { hits: index.route(changes), routed: (one) => specs.includes(one) },
    tables,
    limits,
  )
}

test('equal combinations get the same bytes, made once', () => {
  const [all, high] = [spec(), spec({ where: { tasks: { status: 'b' } } })]
  const frames = framesFor([all, high])
  const first = frames.batch([all, high], noExtras(), false)
  const second = frames.batch([high, all, all], noExtras(), false)
  expect([first?.shared, second?.shared]).toEqual([false, true])
  expect(second?.frames).toEqual(first?.frames)
  expect(second?.frames.every((frame, index) => frame === first?.frames[index])).toBe(true)
})

test('a spec without a hit does not make another combination', () => {
  const [all, none] = [spec(), spec({ tables: ['notes'] })]
  const frames = framesFor([all, none])
  frames.batch([all], noExtras(), false)
  expect(frames.batch([all, none], noExtras(), false)?.shared).toBe(true)
})

test('nothing to say is no batch, unless one is asked for', () => {
  const none = spec({ tables: ['notes'] })
  const frames = framesFor([none])
  expect(frames.batch([none], noExtras(), false)).toBeUndefined()
  expect(frames.batch([none], noExtras(), true)?.frames).toHaveLength(1)
})

test('what is for one session alone comes with the last part', () => {
  const all = spec()
  const frames = framesFor([all])
  const batch = frames.batch([all], { ...noExtras(), settled: frames.settledOf('d') }, false)
  const messages = (batch?.frames ?? []).map((frame) => parseDown(frame).message)
  expect(messages).toMatchObject([
    { more: true, settled: [], to: 100 },
    { more: false, settled: [taskId(9)], to: 100 },
  ])
  expect(frames.settledOf('another')).toEqual([])
})

test('a spec that came after the step was routed is routed when asked for', () => {
  const late = spec()
  const batch = framesFor([]).batch([late], noExtras(), false)
  expect(batch?.frames).toHaveLength(2)
})
