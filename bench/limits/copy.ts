import { PGlite } from '@electric-sql/pglite'
import type pg from 'pg'

export interface CopyOut {
  readonly seconds: number
  readonly bytes: number
  /** The text itself. */
  readonly chunks: readonly Buffer[]
}

/** The limit for a first sync: `COPY … TO STDOUT` of the same rows over the same kind of connection, kept in memory. */
export async function copyOut(client: pg.Client, select: string): Promise<CopyOut> {
  const chunks: Buffer[] = []
  const hear = ({ chunk }: { chunk: Buffer }): void => void chunks.push(Buffer.from(chunk))
  // `connection` is not in the types of pg, but its events are how COPY and replication are read.
  const { connection } = client as unknown as { connection: NodeJS.EventEmitter }
  connection.on('copyData', hear)
  const start = performance.now()
  await client.query(`copy (${select}) to stdout`)
  const seconds = (performance.now() - start) / 1000
  connection.off('copyData', hear)
  return { seconds, bytes: chunks.reduce((sum, chunk) => sum + chunk.byteLength, 0), chunks }
}

/**
 * The limit for a PGlite replica: COPY of the same text into a table of the same columns with a primary key, in memory.
 * Seconds.
 */
export async function pgliteCopy(
  columns: readonly { readonly name: string; readonly type: string }[],
  chunks: readonly Buffer[],
): Promise<number> {
  const database = await PGlite.create()
  try {
    const list = columns.map(({ name, type }) => `"${name}" ${type}${name === 'id' ? ' primary key' : ''}`)
    await database.exec(`create table tasks (${list.join(', ')})`)
    const blob = new Blob(chunks.map((chunk) => new Uint8Array(chunk)))
    const start = performance.now()
    await database.query(`copy tasks from '/dev/blob'`, [], { blob })
    return (performance.now() - start) / 1000
  } finally {
    await database.close()
  }
}
