import { expect, test } from 'vitest'
import { GrowingBuffer } from '../../client-sdk/store/growing-buffer.ts'

/** Just below the first capacity, so that the next value is the one that makes the buffer grow. */
const almostFull = (1 << 20) - 1

test.each([
  ['int16', (buffer: GrowingBuffer) => buffer.int16(258), [1, 2]],
  ['int32', (buffer: GrowingBuffer) => buffer.int32(16_909_060), [1, 2, 3, 4]],
  ['float64', (buffer: GrowingBuffer) => buffer.float64(1), [63, 240, 0, 0, 0, 0, 0, 0]],
  ['bytes', (buffer: GrowingBuffer) => buffer.bytes(Uint8Array.of(7, 8, 9)), [7, 8, 9]],
  ['text', (buffer: GrowingBuffer) => buffer.text('abc'), [97, 98, 99]],
] as const)('a buffer grows under %s without losing it', (_, write, expected) => {
  const buffer = new GrowingBuffer()
  buffer.claim(almostFull)
  write(buffer)
  expect([...buffer.toBytes().subarray(almostFull)]).toEqual([...expected])
})
