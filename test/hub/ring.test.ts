import { expect, test } from 'vitest'
import { toSeq } from '../../protocol/seq.ts'
import { Ring, type PastStep } from '../../server/hub/ring.ts'
import { StepFrames } from '../../server/hub/step-frames.ts'
import { change, step, tables } from './changes.ts'

function frames(from: number, to: number, { changes = 1, bytes = 0, embeddings = true } = {}): StepFrames {
  const some = Array.from({ length: changes }, (_, index) => change(index + 1))
  return new StepFrames(
    step(some, { from: toSeq(from), to: toSeq(to), bytes, embeddings }),
    { hits: new Map(), routed: () => true },
    tables,
    { partRows: 10, partBytes: 1000 },
  )
}

function ring(max: number, ...pasts: readonly (readonly [StepFrames, number])[]): Ring {
  const filled = new Ring({ ringChanges: max, ringBytes: 1000 })
  for (const [one, generation] of pasts) filled.push({ frames: one, generation, changesAccess: false })
  return filled
}

const spans = (found: readonly PastStep[] | undefined) =>
  found?.map(({ frames: { step: past } }) => [Number(past.from), Number(past.to)])

test('leads from any place in it to the newest', () => {
  const three = ring(100, [frames(0, 10), 1], [frames(10, 20), 1], [frames(20, 30), 1])
  expect(spans(three.after(toSeq(10), 1, false))).toEqual([
    [10, 20],
    [20, 30],
  ])
  expect(spans(three.after(toSeq(15), 1, false))).toEqual([
    [10, 20],
    [20, 30],
  ])
})

test('does not reach back beyond what it holds', () => {
  const two = ring(4, [frames(0, 10), 1], [frames(10, 20), 1], [frames(20, 30), 1])
  expect(two.after(toSeq(5), 1, false)).toBeUndefined()
  expect(spans(two.after(toSeq(10), 1, false))).toEqual([
    [10, 20],
    [20, 30],
  ])
})

test('holds nothing of a step that is larger than all of it', () => {
  expect(ring(4, [frames(0, 10, { changes: 9 }), 1]).after(toSeq(0), 1, false)).toBeUndefined()
})

test('holds no more than its bytes, however few the changes', () => {
  const three = ring(
    100,
    [frames(0, 10, { bytes: 600 }), 1],
    [frames(10, 20, { bytes: 600 }), 1],
    [frames(20, 30, { bytes: 400 }), 1],
  )
  expect(three.after(toSeq(5), 1, false)).toBeUndefined()
  expect(spans(three.after(toSeq(10), 1, false))).toEqual([
    [10, 20],
    [20, 30],
  ])
  three.push({ frames: frames(30, 40, { bytes: 1001 }), generation: 1, changesAccess: false })
  expect(three.after(toSeq(30), 1, false)).toBeUndefined()
})

test('is of no use for channels followed later, or vectors not read', () => {
  const two = ring(100, [frames(0, 10), 3], [frames(10, 20, { embeddings: false }), 4])
  expect(two.after(toSeq(0), 4, false)).toBeUndefined()
  expect(two.after(toSeq(10), 4, true)).toBeUndefined()
  expect(spans(two.after(toSeq(0), 3, false))).toEqual([
    [0, 10],
    [10, 20],
  ])
})
