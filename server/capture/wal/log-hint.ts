import { parseSeq, type Seq } from '../../../protocol/seq.ts'

/**
 * What the writer of the log says of it: the newest position, and up to which place in the WAL, of which run of
 * Postgres, it is complete.
 */
export interface LogHint {
  readonly head: Seq
  readonly upto: number
  /** Empty in notifications of the database, which name none. */
  readonly run: string
}

/** Undefined: it is none. Any login of the database may NOTIFY whatever it likes. */
export function parseHint(text: string): LogHint | undefined {
  const [first = '', second = '', run = '', ...rest] = text.split(' ')
  const [head, upto] = [parseSeq(first), parseSeq(second)]
  return head === undefined || upto === undefined || rest.length > 0 ? undefined : { head, upto, run }
}

/** As `parseHint` reads it. */
export function formatHint({ head, upto, run }: LogHint): string {
  return `${head} ${upto} ${run}`
}
