import { describe, expect, test } from 'vitest'
import { TideError } from '../../protocol/error.ts'
import {
  provenAfterMs,
  transition,
  type ConnectionEvent,
  type ConnectionState,
} from '../../client-sdk/connection/connection-state.ts'

const error = new TideError('device_revoked', 'revoked')
const now = 100_000
const context = { now, delay: (attempt: number) => 1000 * (attempt + 1) }

const states = {
  idle: { kind: 'idle' },
  connecting: { kind: 'connecting', attempt: 2 },
  greeting: { kind: 'greeting', attempt: 2 },
  live: { kind: 'live', attempt: 2, since: now },
  waiting: { kind: 'waiting', attempt: 2, until: now },
  stopped: { kind: 'stopped', error },
  closed: { kind: 'closed' },
} as const satisfies Record<string, ConnectionState>

const events = {
  connect: { kind: 'connect' },
  disconnect: { kind: 'disconnect' },
  close: { kind: 'close' },
  opened: { kind: 'opened' },
  welcomed: { kind: 'welcomed' },
  lost: { kind: 'lost' },
  refused: { kind: 'refused', error },
  due: { kind: 'due' },
} as const satisfies Record<string, ConnectionEvent>

/**
 * The table of SPEC.md: where each event leads from each state, and what is done. A state not named: nothing happens.
 */
const table: Record<
  keyof typeof events,
  Partial<Record<keyof typeof states, readonly [ConnectionState, readonly string[]]>>
> = {
  connect: {
    idle: [{ kind: 'connecting', attempt: 0 }, ['open']],
    waiting: [{ kind: 'connecting', attempt: 0 }, ['open']],
    stopped: [{ kind: 'connecting', attempt: 0 }, ['open']],
  },
  disconnect: {
    connecting: [{ kind: 'idle' }, ['hangUp']],
    greeting: [{ kind: 'idle' }, ['hangUp']],
    live: [{ kind: 'idle' }, ['hangUp']],
    waiting: [{ kind: 'idle' }, ['hangUp']],
    stopped: [{ kind: 'idle' }, ['hangUp']],
  },
  close: {
    idle: [{ kind: 'closed' }, ['hangUp']],
    connecting: [{ kind: 'closed' }, ['hangUp']],
    greeting: [{ kind: 'closed' }, ['hangUp']],
    live: [{ kind: 'closed' }, ['hangUp']],
    waiting: [{ kind: 'closed' }, ['hangUp']],
    stopped: [{ kind: 'closed' }, ['hangUp']],
  },
  opened: { connecting: [{ kind: 'greeting', attempt: 2 }, ['greet']] },
  welcomed: { greeting: [{ kind: 'live', attempt: 2, since: now }, ['start']] },
  lost: {
    connecting: [{ kind: 'waiting', attempt: 3, until: now + 3000 }, ['hangUp', 'wait']],
    greeting: [{ kind: 'waiting', attempt: 3, until: now + 3000 }, ['hangUp', 'wait']],
    live: [{ kind: 'waiting', attempt: 3, until: now + 3000 }, ['hangUp', 'wait']],
  },
  refused: {
    connecting: [{ kind: 'stopped', error }, ['hangUp']],
    greeting: [{ kind: 'stopped', error }, ['hangUp']],
    live: [{ kind: 'stopped', error }, ['hangUp']],
  },
  due: { waiting: [{ kind: 'connecting', attempt: 2 }, ['open']] },
}

describe('the transition table', () => {
  for (const [eventName, event] of Object.entries(events)) {
    for (const [stateName, state] of Object.entries(states)) {
      const [next, effects] = table[eventName as keyof typeof events][stateName as keyof typeof states] ?? [state, []]
      test(`${stateName} + ${eventName} → ${next.kind}`, () => {
        expect(transition(state, event, context)).toEqual({ state: next, effects })
      })
    }
  }
})

describe('a lost connection', () => {
  test('that lived long enough is tried again after the shortest pause', () => {
    const live = { kind: 'live', attempt: 5, since: now - provenAfterMs } as const
    expect(transition(live, { kind: 'lost' }, context).state).toEqual({
      kind: 'waiting',
      attempt: 1,
      until: now + 1000,
    })
  })

  test('waits as long as the server asks for', () => {
    expect(transition(states.live, { kind: 'lost', retryAfterMs: 60_000 }, context).state).toMatchObject({
      until: now + 60_000,
    })
  })

  test('is not tried before its time', () => {
    const waiting = { kind: 'waiting', attempt: 1, until: now + 1 } as const
    expect(transition(waiting, { kind: 'due' }, context)).toEqual({ state: waiting, effects: ['wait'] })
  })
})
