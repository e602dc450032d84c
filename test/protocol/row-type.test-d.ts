// Checked by the compiler alone: each @ts-expect-error fails the type check when its line compiles.
import type { InsertOf, PatchOf, RowOf } from '../../protocol/rows/row-type.ts'
import type { TableDescriptor } from '../../protocol/rows/table.ts'
import type { shippedSchema } from '../../client-sdk/schema.generated.ts'

type Tasks = (typeof shippedSchema)['tasks']
type Memories = (typeof shippedSchema)['memories']

declare const task: RowOf<Tasks>
declare function insert(values: InsertOf<Tasks>): void
declare function patch(values: PatchOf<Tasks>): void
declare function patchMemory(values: PatchOf<Memories>): void
declare function read<T>(value: T): void

read<'pending' | 'assigned' | 'in_progress' | 'blocked' | 'in_review' | 'completed' | 'failed' | 'cancelled'>(
  task.status,
)
read<string>(task.title)
read<number>(task.progressPercentage)
read<string | null>(task.description)
read<readonly string[]>(task.tags)
read<number>(task.version)
// @ts-expect-error A nullable column may be null.
read<string>(task.description)
// @ts-expect-error There is no such column.
read(task.statsu)

insert({ projectId: 'p', title: 'T' })
insert({ projectId: 'p', title: 'T', status: 'blocked', deadline: new Date(), metadata: { a: undefined, b: [1] } })
// @ts-expect-error The title is missing.
insert({ projectId: 'p' })
// @ts-expect-error A required column cannot be null.
insert({ projectId: 'p', title: null })
// @ts-expect-error The server sets the version.
insert({ projectId: 'p', title: 'T', version: 2 })
// @ts-expect-error The server sets the channel.
insert({ projectId: 'p', title: 'T', channel: 'global' })

patch({ status: 'completed', description: null })
patch({})
// @ts-expect-error No such column.
patch({ statsu: 'completed' })
// @ts-expect-error No such status.
patch({ status: 'done' })
// @ts-expect-error The project is fixed.
patch({ projectId: 'p' })
// @ts-expect-error Text, not a number.
patch({ title: 1 })
// @ts-expect-error Counters are incremented.
patchMemory({ accessCount: 3 })
patchMemory({ embedding: [1, 2], importance: 0.7 })

// Without literal types rows are records of any column.
declare const anyRow: RowOf<TableDescriptor>
read<unknown>(anyRow['title'])
