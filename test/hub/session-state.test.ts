import { expect, test } from 'vitest'
import { nextState, type SessionEvent, type SessionState } from '../../server/hub/session-state.ts'

const states: readonly SessionState[] = ['idle', 'behind', 'live', 'stalled', 'ended']
const events: readonly SessionEvent[] = ['need', 'reached', 'missed', 'filled', 'doubted', 'opened', 'end']

/** The table of SPEC.md; a dot leaves the state as it is. */
const table: Readonly<Record<SessionEvent, string>> = {
  //        idle    behind  live    stalled ended
  need: '   behind  .       behind  .       .',
  reached: '.       live    .       .       .',
  missed: ' .       .       behind  .       .',
  filled: ' .       stalled stalled .       .',
  doubted: '.       stalled stalled .       .',
  opened: ' .       .       .       behind  .',
  end: '    ended   ended   ended   ended   .',
}

for (const event of events) {
  test(`${event} moves each state as the table says`, () => {
    const expected = table[event]
      .trim()
      .split(/\s+/)
      .map((cell, index) => (cell === '.' ? states[index] : cell))
    expect(states.map((state) => nextState(state, event))).toEqual(expected)
  })
}
