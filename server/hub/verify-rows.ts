import { RangeSums } from '../../protocol/rows/verify.ts'
import type { TakeRow } from '../db/row-packer.ts'
import type { SqlStatement } from '../scope/sql-query.ts'
import type { VerifiedTable } from './feed.ts'

/** What a statement for `sumRows` selects. As text: its bytes are the same in either format of the wire. */
export const summedColumns = 't.id::text, t.version::text'

/**
 * Counts and hashes of a table's rows, each forgotten as soon as it has come. Undefined: nothing of the table is
 * selected.
 */
export async function sumRows(
  table: string,
  statement: SqlStatement | undefined,
  each: (statement: SqlStatement, take: TakeRow) => Promise<void>,
): Promise<VerifiedTable> {
  const sums = new RangeSums()
  if (statement)
    await each(statement, (bytes, offset) => {
      const [id, end] = textAt(bytes, offset + 2)
      const [version] = textAt(bytes, end)
      sums.add(id, Number(version))
    })
  return { table, ranges: sums.toRanges() }
}

/** A field of a row and where it ends; null is empty. */
function textAt(bytes: Buffer, at: number): readonly [text: string, end: number] {
  const end = at + 4 + Math.max(0, bytes.readInt32BE(at))
  return [bytes.toString('latin1', at + 4, end), end]
}
