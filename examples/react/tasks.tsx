import type { FormEvent, ReactElement } from 'react'
import { useConflicts, useLive, useStatus, useSubscribe, useWrite } from '@tidewire/client/react'

export function Tasks(): ReactElement {
  useSubscribe({ organization: true }, { tables: ['projects'], keep: true })
  const projects = useLive((tide) => tide.projects, { where: { slug: 'demo' } })
  const projectId = projects.rows[0]?.id
  return (
    <>
      <Health />
      {projectId === undefined ? <p>Looking for the demo project …</p> : <Project id={projectId} />}
    </>
  )
}

function Health(): ReactElement {
  const status = useStatus()
  const { conflicts, resolve } = useConflicts()
  return (
    <header>
      <p>{status === null ? 'opening' : `${status.connection}, ${status.pending} waiting to be sent`}</p>
      {conflicts.map(({ id, mine }) => (
        <p key={id}>
          {JSON.stringify(mine)} met another write:
          <button onClick={() => void resolve(id, 'client')}>take mine</button>
          <button onClick={() => void resolve(id, 'server')}>take theirs</button>
        </p>
      ))}
    </header>
  )
}

function Project({ id: projectId }: { readonly id: string }): ReactElement {
  const { state } = useSubscribe({ project: projectId }, { tables: ['tasks'], keep: true })
  const tasks = useLive((tide) => tide.tasks, { where: { projectId }, orderBy: [{ createdAt: 'desc' }], limit: 50 })
  const add = useWrite((tide, title: string) => tide.tasks.insert({ projectId, title }))
  const finish = useWrite((tide, id: string) => tide.tasks.update(id, { status: 'completed' }))

  function submit(event: FormEvent<HTMLFormElement>): void {
    event.preventDefault()
    const title = new FormData(event.currentTarget).get('title')
    if (typeof title === 'string' && title !== '') void add.run(title)
    event.currentTarget.reset()
  }

  return (
    <section>
      <form onSubmit={submit}>
        <input name="title" aria-label="title" placeholder="What is to be done?" />
        <button>add</button>
        <output>{add.error?.message ?? add.status}</output>
      </form>
      {state === 'bootstrapping' && <p>loading</p>}
      <ul>
        {tasks.rows.map((task) => (
          <li key={task.id}>
            {task.title} ({task.status}, {task.$sync.status})
            {task.status !== 'completed' && <button onClick={() => void finish.run(task.id)}>done</button>}
          </li>
        ))}
      </ul>
    </section>
  )
}
