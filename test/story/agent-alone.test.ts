import { afterAll, beforeAll, expect, test } from 'vitest'
import { connect, type Client } from '@tidewire/client'

let tide: Client
beforeAll(async () => {
  // Nobody listens there, and nobody ever will: no server, no database, no file.
  tide = await connect({
    url: 'http://127.0.0.1:1',
    token: 'none',
    replica: { kind: 'memory' },
    device: { name: 'alone', kind: 'agent_runtime' },
  })
})
afterAll(() => tide.close())

test('an agent without server and database takes a whole turn, and remembers it', async () => {
  const axis = (n: number) => Float32Array.from({ length: 384 }, (_, index) => (index === n ? 1 : 0))
  const project = await tide.projects.insert({ name: 'Alone', slug: 'alone' })
  const task = await tide.tasks.insert({ projectId: project.id, title: 'Find out why the deploy fails' })
  await tide.tasks.update(task.id, { status: 'in_progress' })
  const known = await tide.memories.insert({
    scope: 'project',
    projectId: project.id,
    content: 'The staging deploy needs the VPN',
    embedding: axis(1),
  })
  await tide.memories.insert({
    scope: 'project',
    projectId: project.id,
    content: 'Support answers within a day',
    embedding: axis(2),
  })

  const [recalled] = await tide.memories.search({ embedding: axis(1), limit: 1 })
  expect(recalled?.row).toMatchObject({ id: known.id, content: 'The staging deploy needs the VPN' })
  expect((await tide.memories.search({ text: 'vpn' })).map(({ row }) => row.id)).toEqual([known.id])

  const conversation = await tide.conversations.insert({ scope: 'project', projectId: project.id, title: 'The deploy' })
  await tide.messages.insert({ conversationId: conversation.id, role: 'agent', content: recalled?.row.content ?? '' })
  await tide.tasks.update(task.id, { status: 'completed', result: { because: recalled?.row.content ?? '' } })

  expect(await tide.tasks.get(task.id)).toMatchObject({ status: 'completed', $sync: { status: 'local' } })
  expect(await tide.messages.find({ where: { conversationId: conversation.id } })).toHaveLength(1)
  expect(tide.status.connection).not.toBe('live')
})
