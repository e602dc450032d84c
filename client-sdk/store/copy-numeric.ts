import { invariant } from '../../lib/invariant.ts'
import type { GrowingBuffer } from './growing-buffer.ts'

const negative = 0x4000

/**
 * A decimal number as `numeric_recv` reads it: digits to base 10,000, with the power of the first, the sign and the
 * number of decimal digits to show.
 */
export function writeNumeric(buffer: GrowingBuffer, text: string): void {
  const [, sign = '', whole = '', fraction = ''] = /^(-?)(\d+)(?:\.(\d+))?$/.exec(text) ?? []
  invariant(whole !== '', `${text} is a decimal number`)
  const left = whole.padStart(4 * Math.ceil(whole.length / 4), '0')
  const right = fraction.padEnd(4 * Math.ceil(fraction.length / 4), '0')
  const groups = (left + right).match(/\d{4}/g) ?? []
  const digits = groups.map(Number)
  let weight = left.length / 4 - 1
  while (digits[0] === 0) {
    digits.shift()
    weight -= 1
  }
  while (digits.at(-1) === 0) digits.pop()
  buffer.int16(digits.length)
  buffer.int16(digits.length === 0 ? 0 : weight)
  buffer.int16(sign === '-' && digits.length > 0 ? negative : 0)
  buffer.int16(fraction.length)
  for (const digit of digits) buffer.int16(digit)
}
