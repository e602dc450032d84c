// Checked by the compiler alone: a member of the client that is not reserved makes `missing` more than never.
import type { ClientBase } from '../../client-sdk/client-base.ts'
import type { reservedTableNames, Schema } from '../../protocol/rows/table.ts'

declare function nothing(value: never): void
declare const missing: Exclude<keyof ClientBase<Schema>, (typeof reservedTableNames)[number]>

nothing(missing)
