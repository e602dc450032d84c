/** Exact decimals as text: rounding as PostgreSQL rounds a numeric, half away from zero. */

const pattern = /^([+-]?)(\d*)(?:\.(\d*))?(?:[eE]([+-]?\d{1,4}))?$/

/**
 * `text` with exactly `scale` digits after the point, or undefined when it is no decimal number or has more than
 * `precision - scale` digits before the point.
 */
export function roundDecimal(text: string, precision: number, scale: number): string | undefined {
  const match = pattern.exec(text)
  if (!match) return undefined
  const [, sign = '', whole = '', fraction = '', exponent = '0'] = match
  if (whole === '' && fraction === '') return undefined
  const shift = Number(exponent) - fraction.length + scale
  const digits = BigInt(whole + fraction)
  const units = shift >= 0 ? digits * 10n ** BigInt(shift) : divideHalfUp(digits, 10n ** BigInt(-shift))
  if (units >= 10n ** BigInt(precision)) return undefined
  const padded = units.toString().padStart(scale + 1, '0')
  const point = padded.length - scale
  const unsigned = scale === 0 ? padded : `${padded.slice(0, point)}.${padded.slice(point)}`
  return sign === '-' && units > 0n ? `-${unsigned}` : unsigned
}

function divideHalfUp(dividend: bigint, divisor: bigint): bigint {
  return (dividend * 2n + divisor) / (divisor * 2n)
}
