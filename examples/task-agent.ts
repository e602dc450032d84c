/**
 * An agent that takes tasks, loses its network, works on, and catches up.
 *
 *   TIDEWIRE_TOKEN=$(npx tidewire token --agent scout) npx node examples/task-agent.ts
 *
 * A claim is an action: only the server can say who is first, so it needs a connection. The work after it does not.
 */
import { connect } from '@tidewire/client'
import { settings } from './settings.ts'

const { url, token } = settings()
const tide = await connect({
  url,
  token,
  replica: { kind: 'memory' },
  device: { name: 'task-agent', kind: 'agent_runtime' },
})

const organization = await tide.subscribe({ organization: true }, { tables: ['projects', 'agents'] })
await organization.ready
const [agent] = await tide.agents.find({ where: { name: 'scout' } })
const [project] = await tide.projects.find({ where: { slug: 'demo' } })
if (agent === undefined || project === undefined)
  throw new Error('There is no project "demo" with agent "scout" here: run `npx tidewire seed --demo` first.')

const followed = await tide.subscribe({ project: project.id }, { tables: ['tasks'] })
await followed.ready

let done = 0
while (done < 2) {
  const { task } = await tide.call('tasks.claim', { agentId: agent.id, projectId: project.id, leaseSeconds: 60 })
  if (task === null) break
  console.log(`${task.title}: claimed`)
  // The claim is a commit like any other, and this replica has it a moment later.
  await until(task.id, 'in_progress')

  tide.disconnect()
  await tide.tasks.update(task.id, { progressPercentage: 50, metadata: { step: 'half way, offline' } })
  await tide.tasks.update(task.id, {
    progressPercentage: 100,
    status: 'completed',
    result: { summary: 'done without a network' },
  })
  console.log(`${task.title}: finished offline, waiting to be sent: ${tide.status.pending}`)

  tide.connect()
  await tide.synced()
  const finished = await tide.tasks.get(task.id)
  console.log(`${task.title}: ${finished?.status}, ${finished?.$sync.status}`)
  done += 1
}
console.log(done === 0 ? 'Nothing is pending.' : `${done} tasks done`)
await tide.close()

async function until(id: string, status: string): Promise<void> {
  for await (const [task] of tide.tasks.live({ where: { id } })) if (task?.status === status) return
}
