/**
 * An agent that takes tasks, loses its network, works on, and catches up.
 *
 *   TIDEWIRE_TOKEN=$(npx tidewire token --agent scout) npx node examples/task-agent.ts
 *
 * A claim is a write like any other: it needs the server's word (`outcome`), since another agent may have been faster.
 * The work after it does not.
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
const pending = await tide.tasks.find({
  where: { status: 'pending', projectId: project.id },
  orderBy: [{ priorityRank: 'desc' }, { createdAt: 'asc' }],
  limit: 2,
})
for (const task of pending) {
  const claim = await tide.tasks.update(task.id, { status: 'in_progress', assignedAgentId: agent.id })
  const outcome = await claim.outcome
  if (outcome.kind !== 'applied' && outcome.kind !== 'merged') {
    console.log(`${task.title}: ${outcome.kind}, somebody else has it`)
    continue
  }
  console.log(`${task.title}: claimed`)

  tide.disconnect()
  await tide.tasks.update(task.id, { progressPercentage: 50, metadata: { step: 'half way, offline' } })
  await tide.tasks.update(task.id, {
    progressPercentage: 100,
    status: 'completed',
    result: { summary: 'done without a network' },
  })
  console.log(`${task.title}: finished offline, ${tide.status.pending} writes waiting`)

  tide.connect()
  await tide.synced()
  const finished = await tide.tasks.get(task.id)
  console.log(`${task.title}: ${finished?.status}, ${finished?.$sync.status}`)
  done += 1
}
console.log(done === 0 ? 'Nothing is pending.' : `${done} tasks done`)
await tide.close()
