// Checked by the compiler alone: each @ts-expect-error fails the type check when its line compiles.
import { useConflicts, useLive, useStatus, useSubscribe, useWrite } from '@tidewire/client/react'

declare function read<T>(value: T): void

/** Never run, only compiled. */
export function component(projectId: string): void {
  const tasks = useLive((tide) => tide.tasks, { where: { status: { in: ['pending'] } }, orderBy: [{ title: 'asc' }] })
  read<string | undefined>(tasks.rows[0]?.title)
  read<string | undefined>(tasks.rows[0]?.$sync.status)
  // A table with a vector has the same rows, and search besides.
  read<string | undefined>(useLive((tide) => tide.memories).rows[0]?.content)
  // @ts-expect-error No such column.
  useLive((tide) => tide.tasks, { where: { statsu: 'pending' } })
  // @ts-expect-error No such status.
  useLive((tide) => tide.tasks, { where: { status: 'done' } })
  // @ts-expect-error No such table.
  useLive((tide) => tide.task)

  const save = useWrite((tide, title: string) => tide.tasks.insert({ projectId, title }))
  void save.run('x').then((row) => read<string | undefined>(row?.title))
  // @ts-expect-error A title is a text.
  void save.run(3)
  // @ts-expect-error The status is misspelt.
  useWrite((tide, id: string) => tide.tasks.update(id, { status: 'inprogress' }))

  read<number | undefined>(useStatus()?.pending)
  const { conflicts, resolve } = useConflicts()
  void resolve(conflicts[0]?.id ?? '', { title: 'Both' })
  // @ts-expect-error Neither side is called so.
  void resolve('c', 'mine')
  useSubscribe({ project: projectId }, { tables: ['tasks'], keep: true })
  // @ts-expect-error No such table.
  useSubscribe({ project: projectId }, { tables: ['task'] })
}
