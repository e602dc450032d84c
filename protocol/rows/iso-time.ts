/** Canonical times, `2026-11-22T01:42:36.123Z`, to and from milliseconds since 1970. */

const dayMs = 86_400_000
/** From 0000-03-01 to 1970-01-01. */
const daysTo1970 = 719_468
const daysInMonth = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31] as const

/**
 * Milliseconds of a time in canonical form; undefined for any other text (which may be a valid time in another form).
 * Ten times as quick as `Date.parse`, and strict: `isoToMs(text) !== undefined` means that `msToIso` gives `text` back.
 */
export function isoToMs(text: string): number | undefined {
  if (text.length !== 24 || !hasMarks(text)) return undefined
  const year = digitsAt(text, 0, 4)
  const month = digitsAt(text, 5, 7)
  const day = digitsAt(text, 8, 10)
  const hour = digitsAt(text, 11, 13)
  const minute = digitsAt(text, 14, 16)
  const second = digitsAt(text, 17, 19)
  const ms = digitsAt(text, 20, 23)
  if (!(year >= 0 && month >= 1 && month <= 12 && day >= 1 && day <= monthLength(year, month))) return undefined
  if (!(hour <= 23 && minute <= 59 && second <= 59 && ms >= 0)) return undefined
  return dayNumber(year, month, day) * dayMs + ((hour * 60 + minute) * 60 + second) * 1000 + ms
}

/**
 * The canonical form; throws `RangeError` beyond the range of JavaScript dates. More than twice as quick as
 * `toISOString`, which unpacking a page would spend half of its time in.
 */
export function msToIso(ms: number): string {
  // Years of more than four digits, and what is no time at all.
  if (!(ms >= firstPlainMs && ms <= lastPlainMs)) return new Date(ms).toISOString()
  const whole = Math.trunc(ms)
  const day = Math.floor(whole / dayMs)
  const rest = whole - day * dayMs
  if (day !== writtenDay) writeDay(day)
  writeDigits(11, 2, Math.floor(rest / 3_600_000))
  writeDigits(14, 2, Math.floor(rest / 60_000) % 60)
  writeDigits(17, 2, Math.floor(rest / 1000) % 60)
  writeDigits(20, 3, rest % 1000)
  return String.fromCharCode(...codes)
}

const firstPlainMs = Date.UTC(-1, 11, 31) + dayMs
const lastPlainMs = Date.UTC(10_000, 0) - 1

/** The characters of the text in the making, and the day that stands in its first ten. */
const codes: number[] = Array.from('1970-01-01T00:00:00.000Z', (character) => character.charCodeAt(0))
let writtenDay = 0

/** The inverse of `dayNumber`, in eras of 400 years. */
function writeDay(day: number): void {
  const shifted = day + daysTo1970
  const era = Math.floor(shifted / 146_097)
  const dayOfEra = shifted - era * 146_097
  const leaps = Math.floor(dayOfEra / 36_524) - Math.floor(dayOfEra / 1460) - Math.floor(dayOfEra / 146_096)
  const yearOfEra = Math.floor((dayOfEra + leaps) / 365)
  const dayOfYear = dayOfEra - (365 * yearOfEra + Math.floor(yearOfEra / 4) - Math.floor(yearOfEra / 100))
  const marchMonth = Math.floor((5 * dayOfYear + 2) / 153)
  const month = marchMonth < 10 ? marchMonth + 3 : marchMonth - 9
  writeDigits(0, 4, yearOfEra + era * 400 + (month <= 2 ? 1 : 0))
  writeDigits(5, 2, month)
  writeDigits(8, 2, dayOfYear - Math.floor((153 * marchMonth + 2) / 5) + 1)
  writtenDay = day
}

function writeDigits(start: number, count: number, value: number): void {
  let rest = value
  for (let index = start + count - 1; index >= start; index--) {
    codes[index] = 48 + (rest % 10)
    rest = Math.floor(rest / 10)
  }
}

function hasMarks(text: string): boolean {
  return (
    text.charCodeAt(4) === 45 &&
    text.charCodeAt(7) === 45 &&
    text.charCodeAt(10) === 84 &&
    text.charCodeAt(13) === 58 &&
    text.charCodeAt(16) === 58 &&
    text.charCodeAt(19) === 46 &&
    text.charCodeAt(23) === 90
  )
}

/** The digits from `start` to before `end` as a number, NaN when one is no digit. */
function digitsAt(text: string, start: number, end: number): number {
  let value = 0
  for (let index = start; index < end; index++) {
    const digit = text.charCodeAt(index) - 48
    if (digit < 0 || digit > 9) return Number.NaN
    value = value * 10 + digit
  }
  return value
}

function monthLength(year: number, month: number): number {
  const leap = year % 4 === 0 && (year % 100 !== 0 || year % 400 === 0)
  return month === 2 && leap ? 29 : (daysInMonth[month - 1] ?? 0)
}

/** Days since 1970-01-01 of the Gregorian calendar: years begin in March, so that the leap day is the last. */
function dayNumber(year: number, month: number, day: number): number {
  const marchYear = month > 2 ? year : year - 1
  const dayOfYear = Math.floor((153 * (month + (month > 2 ? -3 : 9)) + 2) / 5) + day - 1
  const leapDays = Math.floor(marchYear / 4) - Math.floor(marchYear / 100) + Math.floor(marchYear / 400)
  return marchYear * 365 + leapDays + dayOfYear - daysTo1970
}
