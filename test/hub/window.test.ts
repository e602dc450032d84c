import { expect, test } from 'vitest'
import { toSeq } from '../../protocol/seq.ts'
import { Window } from '../../server/hub/window.ts'

const limits = { windowBatches: 4, windowBytes: 100 }

function filled(...bytes: readonly number[]): Window {
  const window = new Window(limits)
  bytes.forEach((size, index) => window.sent(toSeq(index + 1), size))
  return window
}

test('is full at its number of batches, and at its bytes', () => {
  expect(filled(1, 1, 1).open).toBe(true)
  expect(filled(1, 1, 1, 1).open).toBe(false)
  expect(filled(60, 40).open).toBe(false)
})

test('takes one batch of any size when empty', () => {
  const window = filled(5000)
  expect(window.open).toBe(false)
  window.acknowledged(1)
  expect(window.open).toBe(true)
})

test('opens again when half is acknowledged, not before', () => {
  const window = filled(1, 1, 1, 1)
  window.acknowledged(1)
  expect(window.open).toBe(false)
  window.acknowledged(2)
  expect(window.open).toBe(true)
})

test('an acknowledgement that is old, or of nothing, changes nothing', () => {
  const window = filled(1, 1, 1, 1)
  window.acknowledged(0)
  expect(window.open).toBe(false)
  window.acknowledged(99)
  window.acknowledged(2)
  expect(window.open).toBe(true)
})
