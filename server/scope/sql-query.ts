import type { CustomTypesConfig } from 'pg'

/**
 * One SQL statement on some connection or transaction. A `name` prepares it once per connection under that name, so
 * equal names must mean equal texts.
 */
export type SqlQuery = <R extends object = Readonly<Record<string, unknown>>>(
  statement: SqlStatement,
) => Promise<readonly R[]>

export interface SqlStatement {
  readonly text: string
  readonly values?: readonly unknown[]
  readonly name?: string
  /** How values are read; default: as pg does. */
  readonly types?: CustomTypesConfig
}
