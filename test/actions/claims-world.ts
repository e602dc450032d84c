// Agents that claim tasks: what is asked of them in several files.
import { afterAll, beforeAll, beforeEach } from 'vitest'
import type { SqlRow } from '../migrations/rows.ts'
import { createActionWorld } from './world.ts'

export interface TaskClaim {
  readonly task: {
    readonly id: string
    readonly title: string
    readonly status: string
    readonly attemptCount: number
  } | null
  readonly runId: string | null
}

async function createClaimsWorld() {
  const world = await createActionWorld()
  const { id: secondId } = await world.add('agents', {
    name: 'Second',
    agent_type: 'generic',
    owner_user_id: world.fixture.ownerId,
  })
  const claim = async (more: Readonly<Record<string, string | number>> = {}): Promise<TaskClaim> =>
    (await world.call(world.agent, 'tasks.claim', { agentId: world.fixture.agentId, ...more })) as unknown as TaskClaim
  return {
    ...world,
    secondId,
    claim,
    /** Another agent of the same organization and owner, which may claim what is anybody's. */
    claimAsSecond: async (): Promise<TaskClaim> =>
      (await world.call(world.owner, 'tasks.claim', { agentId: secondId })) as unknown as TaskClaim,
    claimedTitle: async (): Promise<string | undefined> => (await claim()).task?.title,
    sweep: () => world.query('select sync.sweep_instances(), sync.sweep_leases()'),
    taskOf: async (claimed: TaskClaim): Promise<SqlRow> => world.read('tasks', claimed.task?.id ?? ''),
  }
}

type ClaimsWorld = Awaited<ReturnType<typeof createClaimsWorld>>

/** The world for the tests of a file, without tasks before each of them. */
export function useClaims() {
  let world: ClaimsWorld
  beforeAll(async () => {
    world = await createClaimsWorld()
  })
  afterAll(() => world?.close())
  beforeEach(() => world.query('delete from tasks'))
  return {
    get world(): ClaimsWorld {
      return world
    },
    claim: (...given: Parameters<ClaimsWorld['claim']>) => world.claim(...given),
    claimAsSecond: () => world.claimAsSecond(),
    claimedTitle: () => world.claimedTitle(),
    sweep: () => world.sweep(),
    taskOf: (claimed: TaskClaim) => world.taskOf(claimed),
  }
}
