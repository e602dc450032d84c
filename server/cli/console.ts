import { TideError } from '../../protocol/error.ts'

/** Exit codes, the same for every command and listed in its help. */
export const exitCodes = { ok: 0, failed: 1, usage: 2, unavailable: 3 } as const

export const exitCodeHelp = `
Exit codes:
  0  done, nothing wrong
  1  failed, or something was found wrong
  2  wrong arguments or settings
  3  no server or database to talk to, or another process has the folder or the port`

/** Where a command speaks. What it was asked for goes to standard output, everything else to standard error. */
export interface Console {
  readonly json: boolean
  /** The answer: `value` as JSON with `--json`, else `text`. */
  answer(value: unknown, text: string): void
  /** What is being done while it takes time; nothing with `--json`. */
  progress(text: string): void
}

export function createConsole(json: boolean): Console {
  return {
    json,
    answer: (value, text) => process.stdout.write(json ? `${JSON.stringify(value)}\n` : text === '' ? '' : `${text}\n`),
    progress(text) {
      if (!json) process.stderr.write(`${text}\n`)
    },
  }
}

/** Says what went wrong and what to do, and returns the exit code for it. */
export function reportError(error: unknown, json: boolean): number {
  const known =
    error instanceof TideError
      ? error
      : new TideError('internal', error instanceof Error ? error.message : String(error), {
          remedy: 'This is a bug: report it with all that is said here.',
        })
  // Where it happened matters only of what nobody foresaw.
  const where = known !== error && error instanceof Error ? `${error.stack}\n` : ''
  process.stderr.write(
    json ? `${JSON.stringify({ error: known.toBody() })}\n` : `${known.message}\n${known.remedy}\n${where}`,
  )
  return exitCodeOf(known)
}

function exitCodeOf(error: TideError): number {
  switch (error.code) {
    case 'config_invalid':
    case 'invalid_value':
      return exitCodes.usage
    case 'not_running':
    case 'replica_locked':
    case 'port_in_use':
    case 'database_unreachable':
      return exitCodes.unavailable
    default:
      return exitCodes.failed
  }
}

/** Rows under headings, columns as wide as they need to be. */
export function table(headings: readonly string[], rows: ReadonlyArray<readonly unknown[]>): string {
  const lines = [
    headings,
    ...rows.map((row) => row.map((cell) => (cell === null || cell === undefined ? '–' : String(cell)))),
  ]
  const widths = headings.map((_, column) => Math.max(...lines.map((line) => (line[column] ?? '').length)))
  return lines
    .map((line) =>
      line
        .map((cell, column) => cell.padEnd(widths[column] ?? 0))
        .join('  ')
        .trimEnd(),
    )
    .join('\n')
}

/** `90s`, `15m`, `1h`, `7d` in seconds. */
export function parseDuration(text: string): number {
  const [, amount = '', unit = ''] = /^(\d{1,6})([smhd])$/.exec(text) ?? []
  const seconds = { s: 1, m: 60, h: 3600, d: 86_400 }[unit]
  if (seconds === undefined || Number(amount) === 0) {
    throw new TideError('invalid_value', `The duration ${JSON.stringify(text)} cannot be read.`, {
      remedy: 'Write a number and s, m, h or d: 90s, 15m, 1h, 7d.',
    })
  }
  return Number(amount) * seconds
}
