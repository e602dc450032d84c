/**
 * Arguments of commands, from text to what they mean. Each throws an `InvalidArgumentError` that says how to write it.
 */
import { InvalidArgumentError } from 'commander'
import { parseDuration } from './console.ts'

export function asDays(text: string): number {
  const days = Number(text)
  if (Number.isInteger(days) && days >= 1 && days <= 36_500) return days
  throw new InvalidArgumentError('It must be a whole number of days from 1 to 36500.')
}

export function asMoney(text: string): number {
  const amount = Number(text)
  if (text.trim() !== '' && amount >= 0 && amount < 1_000_000) return amount
  throw new InvalidArgumentError('It must be a number from 0 up.')
}

/** Null: no limit. */
export function asSpendLimit(text: string): number | null {
  return text === 'none' ? null : asMoney(text)
}

export function asMonth(text: string): string {
  if (/^\d{4}-(0[1-9]|1[0-2])$/.test(text)) return `${text}-01`
  throw new InvalidArgumentError('It must be a month: 2026-10.')
}

export function asTime(text: string): Date {
  const time = new Date(text)
  if (!Number.isNaN(time.getTime())) return time
  throw new InvalidArgumentError('It must be a time: 2026-11-01, 2026-11-01T12:00:00Z.')
}

export function asLimit(text: string): number {
  const limit = Number(text)
  if (Number.isInteger(limit) && limit >= 1 && limit <= 1000) return limit
  throw new InvalidArgumentError('It must be a whole number from 1 to 1000.')
}

export function asDuration(text: string): number {
  try {
    return parseDuration(text)
  } catch (error) {
    throw new InvalidArgumentError(error instanceof Error ? error.message : 'It cannot be read.')
  }
}
