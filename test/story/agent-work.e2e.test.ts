// Agents at work, told with the public SDK against a server process: a project down to its subtasks, events, and a
// server that is killed in mid-task.
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { connect, type Client } from '@tidewire/client'
import { consumeEvents, type DeliveredEvent } from '@tidewire/client/events'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { startServerProcess, type ServerProcess } from '../support/server-process.ts'

let home: string
let server: ServerProcess
let token: string
const clients: Client[] = []

beforeAll(async () => {
  home = await mkdtemp(join(tmpdir(), 'tidewire-story-'))
  server = await startServerProcess(join(home, 'server'))
  token = await server.cli('token', '--user', 'ada@example.com', '--ttl', '1d')
}, 180_000)

afterAll(async () => {
  await Promise.all(clients.map((tide) => tide.close()))
  await server?.stop()
  await rm(home, { recursive: true, force: true })
})

async function open(name: string): Promise<Client> {
  const tide = await connect({
    url: server.url,
    token,
    replica: { kind: 'memory' },
    device: { name, kind: 'agent_runtime' },
  })
  clients.push(tide)
  await (
    await tide.subscribe({ organization: true })
  ).ready
  return tide
}

/** A project of its own, followed. */
async function openProject(tide: Client, slug: string): Promise<string> {
  const project = await tide.projects.insert({ name: slug, slug })
  await project.$write.wait('acknowledged')
  await (
    await tide.subscribe({ project: project.id })
  ).ready
  return project.id
}

/** A message that its author is writing, in a project that somebody else follows too. */
async function openAnswer(author: Client, follower: Client, name: string, content?: string) {
  const projectId = await openProject(author, name)
  await (
    await follower.subscribe({ project: projectId })
  ).ready
  const { id: conversationId } = await author.conversations.insert({ scope: 'project', projectId, title: 'Answers' })
  const { id } = await author.messages.insert({
    ...{ conversationId, role: 'assistant', status: 'streaming' },
    ...(content === undefined ? {} : { content }),
  })
  return { projectId, id }
}

test('a message grows for all who follow its conversation, also for one who comes in the middle', async () => {
  const [author, reader] = [await open('author'), await open('reader')]
  const { projectId, id } = await openAnswer(author, reader, 'streaming')
  const seen: string[] = []
  const reading = (async () => {
    for await (const [message] of reader.messages.live({ where: { id } })) {
      if (message !== undefined) seen.push(message.content)
      if (message?.status === 'complete') return
    }
  })()
  const has = async (tide: Client, text: string): Promise<void> => {
    for await (const [message] of tide.messages.live({ where: { id } })) if (message?.content === text) return
  }
  const stream = await author.messages.stream(id)
  stream.write('The deploy')
  await has(reader, 'The deploy')
  const latecomer = await open('latecomer')
  await (
    await latecomer.subscribe({ project: projectId })
  ).ready
  expect(await latecomer.messages.get(id)).toMatchObject({ content: 'The deploy', status: 'streaming' })
  // Its own device alone writes it.
  const foreign = await latecomer.messages.stream(id)
  foreign.write(' is mine')
  const refused = await foreign.end()
  await expect(refused.wait('acknowledged')).rejects.toThrow('content')
  await latecomer.writes.discard(refused.id)
  for (const word of [' needs', ' the', ' VPN.']) {
    stream.write(word)
    await has(reader, stream.text)
  }
  const end = await stream.end({ outputTokens: 5 })
  await end.wait('synced')
  await reading
  expect(await reader.messages.get(id)).toMatchObject({ content: 'The deploy needs the VPN.', outputTokens: 5 })
  // Each text begins with the one before it.
  for (const [index, text] of seen.entries()) expect(text.startsWith(seen[index - 1] ?? '')).toBe(true)
  expect(seen.length).toBeGreaterThan(3)
})

test('who may write in a conversation may end a message whose author is gone, and it grows no more', async () => {
  const [author, other] = [await open('vanishing'), await open('staying')]
  const { id } = await openAnswer(author, other, 'interrupted', 'The deploy')
  for await (const [message] of other.messages.live({ where: { id } })) if (message !== undefined) break
  const stream = await author.messages.stream(id)
  const ended = await other.messages.update(id, { status: 'failed' })
  await ended.wait('synced')
  for await (const [message] of author.messages.live({ where: { id } })) if (message?.status === 'failed') break
  // What its author has written meanwhile is kept on its device.
  stream.write(' needs the VPN.')
  const late = await stream.end()
  await expect(late.wait('acknowledged')).rejects.toThrow('content')
  expect(await author.writes.find({ status: 'rejected' })).toHaveLength(1)
  await author.writes.discard(late.id)
  await expect(author.messages.stream(id)).rejects.toMatchObject({ code: 'invalid_value' })
  expect(await other.messages.get(id)).toMatchObject({ content: 'The deploy', status: 'failed' })
})

test('a project goes down to subtasks of subtasks, and is completed from there; nothing hangs under itself', async () => {
  const tide = await open('planner')
  const projectId = await openProject(tide, 'hierarchy')
  const plan = await tide.plans.insert({ projectId, title: 'Plan', status: 'active' })
  const phase = await tide.phases.insert({ projectId, planId: plan.id, title: 'Phase' })
  const macroStep = await tide.macroSteps.insert({ projectId, phaseId: phase.id, title: 'Step' })
  const chain: string[] = []
  for (const title of ['Task', 'Subtask', 'Part', 'Piece', 'Bit']) {
    const parentTaskId = chain.at(-1) ?? null
    const kind = chain.length === 0 ? 'task' : 'micro_step'
    chain.push(
      (
        await tide.tasks.insert({
          projectId,
          planId: plan.id,
          macroStepId: macroStep.id,
          parentTaskId,
          kind,
          title,
          position: chain.length,
        })
      ).id,
    )
  }
  await tide.synced()
  const [top = '', , , , leaf = ''] = chain
  const titles = await tide.tasks.find({ where: { macroStepId: macroStep.id }, orderBy: [{ position: 'asc' }] })
  expect(titles.map(({ title }) => title)).toEqual(['Task', 'Subtask', 'Part', 'Piece', 'Bit'])

  const circle = await tide.tasks.update(top, { parentTaskId: leaf })
  await expect(circle.wait('synced')).rejects.toMatchObject({ code: 'constraint_violated' })
  await tide.writes.discard(circle.id)

  for (const id of chain.toReversed()) await tide.tasks.update(id, { status: 'in_progress' })
  for (const id of chain.toReversed()) await (await tide.tasks.update(id, { status: 'completed' })).wait('synced')
  // Each parent is as far as its children, by the server.
  await expect.poll(async () => (await tide.tasks.get(top))?.progressPercentage, { timeout: 60_000 }).toBe(100)
  await tide.macroSteps.update(macroStep.id, { status: 'completed' })
  await tide.phases.update(phase.id, { status: 'completed' })
  await tide.plans.update(plan.id, { status: 'completed' })
  await tide.projects.update(projectId, { status: 'completed' })
  await tide.synced()
  await expect
    .poll(async () => (await tide.projects.get(projectId))?.completedAt, { timeout: 60_000 })
    .toEqual(expect.any(String))
  expect(await tide.tasks.find({ where: { projectId, status: { ne: 'completed' } } })).toEqual([])
}, 240_000)

test('events that are published offline are dealt with once each, in order, also past a handler that fails', async () => {
  const tide = await open('publisher')
  const { subscriptionId } = await tide.call('events.subscribe', { name: 'story', type: 'story.*' })
  const seen: DeliveredEvent[] = []
  let failures = 1
  const consumer = consumeEvents(tide, {
    subscriptionId,
    pollMs: 50,
    handle: async (event) => {
      if (event.type === 'story.2' && failures-- > 0) throw new Error('not yet')
      seen.push(event)
    },
  })
  tide.disconnect()
  for (const n of [1, 2, 3]) await tide.events.insert({ source: 'test', type: `story.${n}`, eventData: { n } })
  tide.connect()
  await expect.poll(() => seen.map(({ type }) => type), { timeout: 60_000 }).toEqual(['story.1', 'story.2', 'story.3'])
  await tide.call('events.replay', { subscriptionId, fromSeq: seen[1]?.seq ?? 0 })
  await expect
    .poll(() => seen.map(({ type, replay }) => `${type} ${replay}`), { timeout: 60_000 })
    .toEqual(['story.1 false', 'story.2 false', 'story.3 false', 'story.2 true', 'story.3 true'])
  await consumer.stop()
  await consumer.done
  const { events } = await tide.call('events.read', { subscriptionId })
  expect(events).toEqual([])
  const { events: replayed } = await tide.call('events.replay', {
    subscriptionId,
    fromSeq: seen[0]?.seq ?? 0,
    dryRun: true,
  })
  expect(replayed).toBe(3)
}, 240_000)

test('a server that is killed in mid-task takes the work up again from the state of the project', async () => {
  const owner = await open('owner')
  const projectId = await openProject(owner, 'resumed')
  const agent = await owner.agents.insert({ name: 'worker', agentType: 'generic' })
  const task = await owner.tasks.insert({ projectId, title: 'Five steps' })
  const state = await owner.projectStates.insert({ projectId, checkpoint: { done: 0 } })
  await owner.synced()
  const done: number[] = []

  /** Works from the checkpoint on, one step after the other, until the server is gone or all is done. */
  async function work(tide: Client, until: number): Promise<void> {
    const row = await tide.projectStates.get(state.id)
    const from = Number((row?.checkpoint as { done?: number } | undefined)?.done ?? 0)
    for (let step = from + 1; step <= until; step++) {
      done.push(step)
      const write = await tide.projectStates.update(state.id, {
        checkpoint: { done: step },
        currentTaskId: task.id,
        currentAgentId: agent.id,
        lastAction: `step ${step}`,
        status: 'active',
      })
      await write.wait('synced')
    }
  }

  const claimed = await owner.call('tasks.claim', { agentId: agent.id, projectId, leaseSeconds: 600 })
  expect(claimed.task?.id).toBe(task.id)
  await work(owner, 3)
  await server.crash()
  await owner.close()
  await server.restart()

  // Another process, that knows nothing but what the server knows.
  const next = await open('next')
  await (
    await next.subscribe({ project: projectId })
  ).ready
  const found = await next.projectStates.get(state.id)
  expect(found).toMatchObject({
    currentTaskId: task.id,
    currentAgentId: agent.id,
    lastAction: 'step 3',
    checkpoint: { done: 3 },
  })
  expect(await next.tasks.get(task.id)).toMatchObject({ status: 'in_progress', assignedAgentId: agent.id })
  await next.call('tasks.renew', { taskId: task.id })
  await work(next, 5)
  await (await next.tasks.update(task.id, { status: 'completed' })).wait('synced')
  await (await next.projectStates.update(state.id, { status: 'completed' })).wait('synced')
  expect(done).toEqual([1, 2, 3, 4, 5])
  expect(await next.tasks.get(task.id)).toMatchObject({ status: 'completed' })
}, 240_000)
